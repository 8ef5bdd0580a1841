package risks

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/file"
)

// sound is an inventory that risks nothing.
const sound = `
access: {user: patch}
hosts:
  - {name: web-1, address: 192.0.2.1, labels: {rack: a1, site: fra}}
  - {name: web-2, address: 192.0.2.2, labels: {rack: b1, site: ams}}
  - {name: db-1, address: 192.0.2.11, labels: {rack: a1, site: fra}}
  - {name: db-2, address: 192.0.2.12, labels: {rack: b1, site: ams}}
  - {name: db-3, address: 192.0.2.13, labels: {rack: c1, site: ams}}
clusters:
  - name: web
    owner: web team
    contact: web@example.org
    members: [web-1, web-2]
    services: [{name: web, port: 80}]
    depends_on: [db]
    checks: [{name: page, tcp: "127.0.0.1:80"}]
    backup: {file: /srv/backup/web, max_age: 26h, restore_proven: 2026-09-30}
  - name: db
    owner: data team
    contact: data@example.org
    members: [db-1, db-2, db-3]
    services: [{name: db, port: 8080}]
    checks: [{name: port, tcp: "127.0.0.1:8080"}]
    backup: {file: /srv/backup/db, max_age: 26h, restore_proven: 2026-09-30}
`

func find(t *testing.T, text string) (file.Document[inventory.Inventory], []Risk) {
	t.Helper()
	doc, err := file.ParseInventory(file.Source{Name: "inventory.yaml", Raw: []byte(text)})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return doc, Find(doc.Value.Resolve())
}

func TestNothingIsFoundWhereNothingIsAtRisk(t *testing.T) {
	if _, got := find(t, sound); len(got) != 0 {
		t.Fatalf("found %+v", got)
	}
}

// TestRisks changes one thing of the sound inventory, and wants exactly the risks of that.
func TestRisks(t *testing.T) {
	const dbMembers, dbPort, webPage = "members: [db-1, db-2, db-3]", "services: [{name: db, port: 8080}]", `checks: [{name: page, tcp: "127.0.0.1:80"}]`
	const dropHosts = "  - {name: db-2, address: 192.0.2.12, labels: {rack: b1, site: ams}}\n  - {name: db-3, address: 192.0.2.13, labels: {rack: c1, site: ams}}\n"
	const dropLast = "  - {name: db-3, address: 192.0.2.13, labels: {rack: c1, site: ams}}\n"
	seen := map[Kind]bool{}
	for _, row := range []struct {
		says    string
		replace []string // old, new, old, new
		want    []string // severity kind about path: text
	}{
		{"one member, and who falls with it", []string{dbMembers, "members: [db-1]", dropHosts, ""}, []string{
			"severe single-instance db clusters[1].members: db-1 is all there is of db: every reboot of it is an outage; web would fall with it",
			"warning needs-single web clusters[0].depends_on[0]: web needs db, and the loss of one member of db takes all of it",
		}},
		{"a chain of those who fall", []string{dbMembers, "members: [db-1]", dropHosts, "", "clusters:\n", `clusters:
  - {name: front, owner: a, contact: b, members: [web-1, web-2], services: [{name: front, port: 81}], depends_on: [web], checks: [{name: p, unit: a.service}], backup: {file: /a, max_age: 1h, restore_proven: 2026-09-30}}
`}, []string{
			"severe single-instance db clusters[2].members: web, front would fall with it",
			"warning needs-single web clusters[1].depends_on[0]: web needs db, and",
			"warning needs-single front clusters[0].depends_on[0]: front needs web needs db, and",
			"warning shared-host front web clusters[1].members[0]: web-1 web-2: each is a member of front and web",
		}},
		{"no member may be lost", []string{dbMembers, dbMembers + "\n    min_healthy: 3"}, []string{
			"severe no-spare db clusters[1].min_healthy: min_healthy is 3 of 3: the loss of any one member breaks it, and none can be taken out; web would fall with it",
			"warning needs-single web clusters[0].depends_on[0]:",
		}},
		{"one that stands alone and needs one that does", []string{dbMembers, dbMembers + "\n    min_healthy: 3", "members: [web-1, web-2]", "members: [web-1, web-2]\n    min_healthy: 2"}, []string{
			"severe no-spare web clusters[0].min_healthy:", "severe no-spare db clusters[1].min_healthy:",
		}},
		{"two that vote", []string{dbMembers, "members: [db-1, db-2]", dropLast, "", `"127.0.0.1:8080"`, `"127.0.0.1:2379"`}, []string{
			"severe majority db clusters[1].members: its members vote, and 2 that lose one have no majority",
			"severe stateful db clusters[1].drain: port 2379 is etcd's",
		}},
		{"three that vote, and may lose two", []string{dbMembers, dbMembers + "\n    max_unavailable: 2", "port: 8080}", "port: 2379}"}, []string{
			"severe majority db clusters[1].max_unavailable: its members vote, and may be out until 1 of 3 are left",
			"severe stateful db clusters[1].drain:",
		}},
		{"three that vote, of which min_healthy keeps two", []string{dbMembers, dbMembers + "\n    max_unavailable: 2\n    min_healthy: 2", "port: 8080}", "port: 2379}"}, []string{
			"severe stateful db clusters[1].drain:",
		}},
		{"Consul's servers vote", []string{dbMembers, dbMembers + "\n    max_unavailable: 2", "{name: db-1,", "{name: db-1, house: consul,", "{name: db-2,", "{name: db-2, house: consul,",
			"name: db-3,", "name: db-3, house: consul,"}, []string{
			"severe majority db clusters[1].max_unavailable:",
		}},
		{"a database that is drained like a web server", []string{dbPort, "services: [{name: db, port: 5432}]"}, []string{
			"severe stateful db clusters[1].drain: port 5432 is PostgreSQL's",
		}},
		{"a queue without a backup", []string{dbPort, "services: [{name: db, port: 5672}]", "    backup: {file: /srv/backup/db, max_age: 26h, restore_proven: 2026-09-30}\n", ""}, []string{
			"severe stateful db clusters[1].drain: port 5672 is RabbitMQ's", "warning no-backup db clusters[1].backup: it keeps state",
		}},
		{"one with scripts of its own", []string{dbPort, "ports: [5432]\n    drain: command\n    drain_commands: {drain: a, undrain: b, state: c}"}, nil},
		{"a check of somebody else's database", []string{`"127.0.0.1:80"`, `"db.example.org:5432"`}, nil},
		{"not drained at all", []string{"services: [{name: web, port: 80}]", "drain: none"}, []string{"warning not-drained web clusters[0].drain: its members are patched and rebooted while users are on them"}},
		{"no checks", []string{"    " + webPage + "\n", ""}, []string{"warning no-checks web clusters[0].checks: without checks Consul alone says"}},
		{"no backup", []string{"    backup: {file: /srv/backup/web, max_age: 26h, restore_proven: 2026-09-30}\n", ""}, []string{"note no-backup web clusters[0].backup: nobody asks"}},
		{"nobody knows whether it can be restored", []string{"web, max_age: 26h, restore_proven: 2026-09-30}", "web, max_age: 26h}"}, []string{"note restore-unknown web clusters[0].backup: when one"}},
		{"no owner", []string{"    owner: web team\n    contact: web@example.org\n", ""}, []string{"warning no-owner web clusters[0].owner: nobody answers for it"}},
		{"an owner without a way to him", []string{"    contact: web@example.org\n", ""}, []string{"note no-owner web clusters[0].contact: how web team is reached"}},
		{"a contact of nobody", []string{"    owner: web team\n", ""}, []string{"note no-owner web clusters[0].owner: it has a contact"}},
		{"one rack and one site for a whole cluster", []string{"192.0.2.2, labels: {rack: b1, site: ams}", "192.0.2.2, labels: {rack: a1, site: fra}"}, []string{
			"warning one-domain web clusters[0].members: all 2 members share rack=a1 site=fra: one fault there takes the whole cluster",
		}},
		{"one site for everything is told once", []string{"site: ams", "site: fra"}, []string{"note one-domain all hosts hosts: every host is in site=fra"}},
		{"one hypervisor for everything is told for each", []string{"rack: a1", "rack: z", "rack: b1", "rack: z", "rack: c1", "rack: z"}, []string{
			"warning one-domain web clusters[0].members: all 2 members share rack=z", "warning one-domain db clusters[1].members: all 3 members share rack=z",
		}},
		{"a label that one member lacks", []string{"192.0.2.2, labels: {rack: b1, site: ams}", "192.0.2.2, labels: {site: ams}"}, []string{
			"note domain-unknown web clusters[0].members: whether its members fall together cannot be told: some hosts have no label rack",
		}},
		{"two racks are two, whatever the third member has", []string{"192.0.2.13, labels: {rack: c1, site: ams}", "192.0.2.13, labels: {site: ams}"}, nil},
		{"labels say nothing anywhere", []string{"rack:", "kind:", "site:", "env:"}, []string{"note domain-unknown all hosts hosts: whether members fall together cannot be told: no host has a label hypervisor, power,"}},
		{"one host in two clusters", []string{"members: [web-1, web-2]", "members: [web-1, web-2, db-1]"}, []string{
			"warning shared-host web db clusters[1].members[0]: db-1 is a member of web and db: what takes the host takes a member of each",
		}},
		{"Temporal on one host", []string{"{name: web-1,", "{name: web-1, house: temporal,"}, []string{"warning own-house temporal hosts[0].house: temporal of rollpatch's own house is on web-1 alone"}},
		{"bastions on two", []string{"{name: web-1,", "{name: web-1, house: bastion,", "{name: db-2,", "{name: db-2, house: bastion,"}, nil},
		{"a host that nobody patches", []string{dbMembers, "members: [db-1, db-2]"}, []string{"note outside db-3 hosts[4]: db-3 is in no cluster"}},
	} {
		t.Run(row.says, func(t *testing.T) {
			text := sound
			for i := 0; i < len(row.replace); i += 2 {
				if !strings.Contains(text, row.replace[i]) {
					t.Fatalf("%q is nowhere", row.replace[i])
				}
				text = strings.ReplaceAll(text, row.replace[i], row.replace[i+1])
			}
			_, got := find(t, text)
			var lines []string
			for _, r := range got {
				seen[r.Kind] = true
				lines = append(lines, fmt.Sprintf("%s %s %s %s: %s", r.Severity, r.Kind, strings.Join(r.About, " "), r.Path, r.What))
				if r.Remedy == "" {
					t.Errorf("%s has no remedy", r.Kind)
				}
			}
			fits := func(line, want string) bool {
				head, tail, _ := strings.Cut(want, ": ")
				return strings.HasPrefix(line, strings.TrimSuffix(head, ":")+": ") && strings.Contains(line, tail)
			}
			if !slices.EqualFunc(lines, row.want, fits) {
				t.Errorf("found\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(row.want, "\n"))
			}
			if Urgent(got) != slices.ContainsFunc(row.want, func(w string) bool { return !strings.HasPrefix(w, "note") }) {
				t.Errorf("Urgent = %v", Urgent(got))
			}
		})
	}
	for _, k := range Kinds() {
		if !seen[k] {
			t.Errorf("no row finds %s", k)
		}
	}
}

func TestFallsAreChains(t *testing.T) {
	_, got := find(t, strings.Replace(sound, "members: [db-1, db-2, db-3]", "members: [db-1, db-2, db-3]\n    min_healthy: 3", 1))
	if len(got) != 2 || fmt.Sprint(got[0].Falls, got[1].Falls) != "[[db web]] [[db web]]" {
		t.Fatalf("found %+v", got)
	}
}
