package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"

	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/headers"
	"go.temporal.io/server/common/persistence/sql/sqlplugin"
	sqliteplugin "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	sqliteschema "go.temporal.io/server/schema/sqlite"
	"modernc.org/sqlite"
)

// durability is how a connection keeps what it was told to keep.
type durability struct{ journalMode, synchronous string }

// With anything less, a step that was recorded could be forgotten in a power cut
// and be done again.
var wantDurability = durability{journalMode: "wal", synchronous: "full"}

// databaseConfig is how Temporal's plugin opens the file. Attributes that are
// not URI parameters of SQLite become pragmas of every connection.
func databaseConfig(path string) *config.SQL {
	return &config.SQL{
		PluginName:   sqliteplugin.PluginName,
		DatabaseName: (&url.URL{Path: path}).EscapedPath(),
		ConnectAttributes: map[string]string{
			"mode":         "rwc",
			"journal_mode": "WAL",
			"synchronous":  "FULL",
			"busy_timeout": "10000",
		},
	}
}

// dataSource is the same file for this package's own connection, in the
// plugin's notation.
func dataSource(cfg *config.SQL) string {
	query := url.Values{"mode": {cfg.ConnectAttributes["mode"]}}
	for _, pragma := range []string{"busy_timeout", "journal_mode", "synchronous"} {
		query.Add("_pragma", pragma+"="+cfg.ConnectAttributes[pragma])
	}
	return "file:" + cfg.DatabaseName + "?" + query.Encode()
}

// connectionGuard makes every SQLite connection of this process, the server's
// included, prove its settings before it is used. SQLite ignores pragmas that it
// does not know and keeps its journal where WAL is impossible, both silently.
type connectionGuard struct{ checked atomic.Int64 }

func (g *connectionGuard) install() {
	sqlite.RegisterConnectionHook(func(conn sqlite.ExecQuerierContext, _ string) error {
		got, err := readDurability(context.Background(), conn)
		if err != nil {
			return err
		}
		if got != wantDurability {
			return fmt.Errorf("a crash could lose what was recorded: journal_mode is %s, want %s; synchronous is %s, want %s",
				got.journalMode, wantDurability.journalMode, got.synchronous, wantDurability.synchronous)
		}
		g.checked.Add(1)
		return nil
	})
}

func readDurability(ctx context.Context, conn driver.QueryerContext) (durability, error) {
	journal, err := pragma(ctx, conn, "journal_mode")
	if err != nil {
		return durability{}, err
	}
	synchronous, err := pragma(ctx, conn, "synchronous")
	if err != nil {
		return durability{}, err
	}
	names := map[driver.Value]string{int64(0): "off", int64(1): "normal", int64(2): "full", int64(3): "extra"}
	return durability{journalMode: fmt.Sprint(journal), synchronous: names[synchronous]}, nil
}

func pragma(ctx context.Context, conn driver.QueryerContext, name string) (driver.Value, error) {
	rows, err := conn.QueryContext(ctx, "PRAGMA "+name, nil)
	if err != nil {
		return nil, fmt.Errorf("pragma %s: %w", name, err)
	}
	defer rows.Close()
	value := make([]driver.Value, 1)
	if err := rows.Next(value); err != nil {
		return nil, fmt.Errorf("pragma %s: %w", name, err)
	}
	return value[0], nil
}

// lockDatabase keeps a second rollpatchd off the file. In WAL mode SQLite itself
// would let two servers write side by side, each sure that the shards are its
// own. The kernel drops the lock with the process, however it dies.
func lockDatabase(path string) (io.Closer, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer lock.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("database %s: lock: %w", path, err)
		}
		holder, _ := io.ReadAll(io.LimitReader(lock, 32))
		return nil, hintError{
			err:  fmt.Errorf("database %s is in use by another rollpatchd (process %s)", path, orUnknown(strings.TrimSpace(string(holder)))),
			hint: "stop that one, or give this one a file of its own with --db",
		}
	}
	if err := errors.Join(lock.Truncate(0), writeLine(lock, os.Getpid())); err != nil {
		lock.Close()
		return nil, fmt.Errorf("database %s: lock: %w", path, err)
	}
	return lock, nil
}

func writeLine(w io.Writer, value any) error {
	_, err := fmt.Fprintln(w, value)
	return err
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// prepareDatabase makes the file and its tables where there are none, all in one
// transaction, and refuses a file that this version's server would misread.
func prepareDatabase(ctx context.Context, path string, cfg *config.SQL) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = file.Close()
	} else if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("database %s: %w", path, err)
	}
	db, err := sql.Open("sqlite", dataSource(cfg))
	if err != nil {
		return fmt.Errorf("database %s: %w", path, err)
	}
	defer db.Close()
	if err := setUpSchema(ctx, db); err != nil {
		return fmt.Errorf("database %s: %w", path, err)
	}
	return nil
}

func setUpSchema(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()

	var tables, marked int
	err = tx.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(name = 'rollpatchd_schema'), 0) FROM sqlite_master WHERE type = 'table'`).Scan(&tables, &marked)
	if err != nil {
		return err
	}
	if tables > 0 && marked == 0 {
		return hintError{
			err:  errors.New("not made by rollpatchd: it has tables, but no record of their version"),
			hint: "name another file with --db",
		}
	}

	schema := &schemaWriter{ctx: ctx, digest: sha256.New()}
	if tables == 0 {
		schema.tx = tx
	}
	if err := sqliteschema.SetupSchemaOnDB(schema); err != nil {
		return err
	}
	digest := hex.EncodeToString(schema.digest.Sum(nil))

	if tables > 0 {
		var madeWith, made string
		if err := tx.QueryRowContext(ctx, `SELECT server_version, digest FROM rollpatchd_schema`).Scan(&madeWith, &made); err != nil {
			return fmt.Errorf("version of the tables: %w", err)
		}
		if made != digest {
			return hintError{
				err:  fmt.Errorf("its tables are those of Temporal server %s, this rollpatchd needs those of %s", madeWith, headers.ServerVersion),
				hint: "finish the running campaigns with the rollpatchd that made it, then name a new file with --db",
			}
		}
		return nil
	}
	if _, err := tx.ExecContext(ctx, `CREATE TABLE rollpatchd_schema (server_version TEXT NOT NULL, digest TEXT NOT NULL)`); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO rollpatchd_schema VALUES (?, ?)`, headers.ServerVersion, digest); err != nil {
		return err
	}
	return tx.Commit()
}

// schemaWriter receives the statements of Temporal's schema, digests them and,
// given a transaction, runs them in it. Set-up needs nothing of AdminDB but Exec.
type schemaWriter struct {
	sqlplugin.AdminDB
	ctx    context.Context
	tx     *sql.Tx
	digest hash.Hash
}

func (w *schemaWriter) Exec(stmt string, args ...any) error {
	fmt.Fprintln(w.digest, stmt)
	if w.tx == nil {
		return nil
	}
	_, err := w.tx.ExecContext(w.ctx, stmt, args...)
	return err
}
