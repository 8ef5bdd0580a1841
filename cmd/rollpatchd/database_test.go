package main

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"modernc.org/sqlite"
)

func openDatabase(t *testing.T, path, settings string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestReadDurability(t *testing.T) {
	for _, tt := range []struct {
		name, settings string
		want           durability
	}{
		{"SQLite's own choice is no WAL", "", durability{"delete", "full"}},
		{"a pragma that SQLite does not know changes nothing", "?_pragma=_journal_mode=WAL", durability{"delete", "full"}},
		{"normal may lose the last commits", "?_pragma=journal_mode=WAL&_pragma=synchronous=NORMAL", durability{"wal", "normal"}},
		{"what the server asks for", "?_pragma=journal_mode=WAL&_pragma=synchronous=FULL", wantDurability},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := openDatabase(t, filepath.Join(t.TempDir(), "test.db"), tt.settings).Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			err = conn.Raw(func(raw any) error {
				got, err := readDurability(t.Context(), raw.(sqlite.ExecQuerierContext))
				if err == nil && got != tt.want {
					t.Errorf("readDurability with %q = %+v, want %+v", tt.settings, got, tt.want)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestSetUpSchema(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before []string
		made   bool   // by an earlier set-up
		after  string // run on what that one made
		want   string // "" is no error
	}{
		{name: "an empty file gets its tables"},
		{name: "tables of this version are left alone", made: true},
		{name: "tables of another version are refused", made: true, after: `UPDATE rollpatchd_schema SET digest = 'other', server_version = '1.2.3'`,
			want: "its tables are those of Temporal server 1.2.3"},
		{name: "somebody else's file is refused", before: []string{`CREATE TABLE customers (name TEXT)`}, want: "not made by rollpatchd"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db := openDatabase(t, filepath.Join(t.TempDir(), "test.db"), "")
			for _, stmt := range tt.before {
				if _, err := db.Exec(stmt); err != nil {
					t.Fatal(err)
				}
			}
			if tt.made {
				if err := setUpSchema(t.Context(), db); err != nil {
					t.Fatal(err)
				}
			}
			if tt.after != "" {
				if _, err := db.Exec(tt.after); err != nil {
					t.Fatal(err)
				}
			}
			err := setUpSchema(t.Context(), db)
			if tt.want == "" {
				if err != nil {
					t.Fatalf("setUpSchema: %v", err)
				}
				var tables int
				if err := db.QueryRow(`SELECT count(*) FROM sqlite_master WHERE name IN ('executions', 'executions_visibility')`).Scan(&tables); err != nil || tables != 2 {
					t.Errorf("%d of Temporal's two main tables are there (%v)", tables, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("setUpSchema: %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestDefaultDatabase(t *testing.T) {
	for _, tt := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"XDG_STATE_HOME comes first", map[string]string{"XDG_STATE_HOME": "/state", "HOME": "/home/op"}, "/state/rollpatch/temporal.db"},
		{"a relative XDG_STATE_HOME does not count", map[string]string{"XDG_STATE_HOME": "state", "HOME": "/home/op"}, "/home/op/.local/state/rollpatch/temporal.db"},
		{"neither is no default", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := defaultDatabase(func(name string) string { return tt.env[name] }); got != tt.want {
				t.Errorf("defaultDatabase(%v) = %q, want %q", tt.env, got, tt.want)
			}
		})
	}
}
