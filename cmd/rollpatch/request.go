package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

// request is the change request of a plan: what whoever approves it should have read. file is the campaign's.
func request(s plan.Saved, f plan.Forecast, dates *calendar.Dates, file string) document {
	pl := s.Plan
	r := requesting{Saved: s, f: f, dates: dates}
	facts := [][]string{{"why", pl.Reason}, {"ticket", pl.Ticket}, {"requested by", s.By + " (claimed)"}, {"made", stamp(s.Made)}, {"plan", s.Digest}}
	if s.By == "" {
		facts[2][1] = ""
	}
	if len(pl.Emergency) > 0 {
		facts = append(facts, []string{"emergency", "for " + strings.Join(pl.Emergency, ", ")})
	}
	for _, a := range pl.Advisories {
		facts = append(facts, []string{"advisory", strings.TrimPrefix(advisoryLine(a), "for ")})
	}
	if pl.Change != nil {
		facts = append(facts, []string{"change number", "asked for when it is run, from " + pl.Change.String() + ": without one nothing begins"})
	}
	return document{title: "Change request: " + pl.Name, sections: []section{
		{blocks: []passage{{head: []string{"", ""}, rows: facts}, text("What is approved is exactly this plan, named by its digest. %s", r.scope())}},
		{"Affected systems", r.affected()},
		{"What will be done", r.done()},
		{"Expected impact", r.impact()},
		{"How it is validated", r.validated()},
		{"Backout plan", r.backout()},
		{"Approvers", r.approvers()},
		{"Window", r.window()},
		{"Risks, and what is not known", r.risks()},
		{"Versions", r.versions()},
		{"To carry it out", carried(file)},
	}}
}

// carried says how a plan is carried out: by whoever has its file, or by the schedule that made it.
func carried(file string) []passage {
	if file == "" {
		return []passage{text("Its schedule made it, and has it begin in its window, if it is approved by then.")}
	}
	return []passage{{code: "rollpatch run --plan FILE " + file}, text("FILE is what rollpatch plan --save wrote. It is refused if the inventory or the campaign differ by then.")}
}

// requesting is a change request in the making.
type requesting struct {
	plan.Saved
	f     plan.Forecast
	dates *calendar.Dates
}

// each calls do for every cluster, in order of work.
func (r requesting) each(do func(stage string, c plan.Cluster, p plan.Part)) {
	for _, s := range r.Plan.Stages {
		for _, c := range s.Clusters {
			do(s.Name, c, r.Parts[c.Name])
		}
	}
}

func (r requesting) scope() string {
	if len(r.Answers) == 0 {
		return "No host was asked: which packages and versions come is not part of it."
	}
	return "Names and versions of packages are part of it: another package, a removal or another host needs another approval. A newer version of a listed package does not."
}

func (r requesting) affected() []passage {
	t := passage{head: []string{"stage", "cluster", "owner", "contact", "offers", "hosts", "needed by"}}
	hosts := 0
	r.each(func(stage string, c plan.Cluster, p plan.Part) {
		var offers []string
		for _, s := range p.Cluster.Services {
			offers = append(offers, fmt.Sprintf("%s (port %d)", s.Name, s.Port))
		}
		hosts += len(c.Members)
		t.rows = append(t.rows, []string{stage, c.Name, p.Cluster.Owner, p.Cluster.Contact, strings.Join(offers, ", "), strings.Join(c.Members, ", "), affects(c)})
	})
	out := []passage{text("%s in %s and %s.", many(hosts, "member"), many(len(t.rows), "cluster"), many(len(r.Plan.Stages), "stage")), t}
	if beside := r.beside(); len(beside.rows) > 0 {
		out = append(out, text("Not worked on, and affected if what they need breaks:"), beside)
	}
	return out
}

// beside are the clusters that need one of the plan and are not in it themselves, each with the first chain that leads there.
func (r requesting) beside() passage {
	t := passage{head: []string{"cluster", "owner", "contact", "needs"}}
	seen := map[string]bool{}
	r.each(func(_ string, c plan.Cluster, _ plan.Part) { seen[c.Name] = true })
	r.each(func(_ string, c plan.Cluster, _ plan.Part) {
		for _, d := range c.Affects {
			if seen[d.Name] {
				continue
			}
			seen[d.Name] = true
			chain := []string{c.Name} // a plan of an earlier build names those alone that need it themselves
			if n := len(d.Chain); n > 0 {
				chain = slices.Clone(d.Chain[:n-1])
				slices.Reverse(chain)
			}
			t.rows = append(t.rows, []string{d.Name, d.Owner, d.Contact, strings.Join(chain, ", which needs ")})
		}
	})
	return t
}

func (r requesting) done() []passage {
	t := passage{head: []string{"cluster", "platform", "hosts", "packages", "security fixes", "download per host", "reboot"}}
	order := passage{head: []string{"cluster", "order of work", "soak", "takes at least"}}
	for _, e := range r.f.Clusters {
		c, _ := clusterOf(r.Plan, e.Cluster)
		hosts, packages, security, download := strconv.Itoa(len(e.Hosts)), strconv.Itoa(len(e.Packages)), securityOf(e), size(e.Download)
		if e.Platform == "" {
			hosts, packages, security, download = "", "not known", "not known", "not known"
		}
		t.rows = append(t.rows, []string{e.Cluster, e.Platform, hosts, packages, security, download, rebootOf(e)})
		if n := len(order.rows); n == 0 || order.rows[n-1][0] != e.Cluster {
			order.rows = append(order.rows, []string{e.Cluster, strings.ReplaceAll(members(c), " | ", ", then after a soak "), soak(c), e.Takes})
		}
	}
	return []passage{
		text("Stages go one after the other, up to %s of a stage at the same time. In each cluster one member after the other is taken out of service, patched, "+
			"rebooted where that is due, checked and put back. The first is the canary: the others follow only when it has served for the whole soak and its checks passed to the end.", many(r.Plan.Parallel, "cluster")),
		t,
		order,
		text("Times are estimates where nothing is waited for, for each member:"),
		{list: estimateLines(foreseenFor(r.f))},
	}
}

func (r requesting) impact() []passage {
	t := passage{head: []string{"cluster", "at most out of service", "always in service", "how members go out of service", "needed by"}}
	r.each(func(_ string, c plan.Cluster, p plan.Part) {
		how := map[inventory.DrainBy]string{
			inventory.DrainConsul: "taken out of Consul; their connections are waited for", inventory.DrainCommand: "by scripts; their connections are waited for",
			inventory.DrainNone: "not at all: users may notice each one",
		}[inventory.DrainBy(c.Drain)]
		t.rows = append(t.rows, []string{c.Name, fmt.Sprintf("%d of %d", c.MaxOut, len(c.Members)), fmt.Sprintf("%d of %d", c.MinHealthy, len(c.Members)), how, affects(c)})
	})
	lines := passage{list: []string{"Users should notice nothing: no member goes out of service unless enough of its peers serve, and that is asked again right before the patch and the reboot."}}
	for _, x := range r.Plan.Refusals {
		lines.list = append(lines.list, "Not touched: "+x.Cluster+": "+x.Reason+".")
	}
	r.each(func(_ string, c plan.Cluster, _ plan.Part) {
		if c.Accepted != "" {
			lines.list = append(lines.list, c.Name+": an outage is accepted until "+c.Until+": "+c.Accepted)
		}
	})
	return []passage{lines, t}
}

func (r requesting) validated() []passage {
	admin := passage{head: []string{"cluster", "on the host"}}
	user := passage{head: []string{"cluster", "as its users see it"}}
	r.each(func(_ string, c plan.Cluster, p plan.Part) {
		var inside, outside []string
		for _, k := range p.Cluster.Checks {
			switch {
			case k.HTTP != nil:
				outside = append(outside, fmt.Sprintf("%s: %s answers %s", k.Name, k.HTTP.URL, answers(*k.HTTP)))
			case k.Unit != "":
				inside = append(inside, fmt.Sprintf("%s: %s is active", k.Name, k.Unit))
			case k.TCP != "":
				inside = append(inside, fmt.Sprintf("%s: %s accepts connections", k.Name, k.TCP))
			default:
				inside = append(inside, fmt.Sprintf("%s: %s ends well", k.Name, strings.Join(k.Command, " ")))
			}
		}
		for _, s := range p.Cluster.Services {
			outside = append(outside, "Consul lists "+s.Name+" as its consumers ask for it")
		}
		admin.rows = append(admin.rows, []string{c.Name, strings.Join(inside, "; ")})
		user.rows = append(user.rows, []string{c.Name, strings.Join(outside, "; ")})
	})
	return []passage{
		text("From the administrator's side, after each patch and reboot: the packages have exactly the versions of the transaction, the package database is clean, a reboot is proven by another boot id, and"),
		admin,
		text("From the end user's side, before a member is put back, again when it has traffic, and through the whole soak:"),
		user,
		text("Every check must pass several times in a row. One that unpatched peers fail too says nothing about the patch; what cannot be told is waited for, and then a person is asked."),
	}
}

func answers(h inventory.HTTPCheck) string {
	s := h.Status
	if s == 0 {
		s = 200
	}
	if h.Body == "" {
		return strconv.Itoa(s)
	}
	return fmt.Sprintf("%d with %q", s, h.Body)
}

func (r requesting) backout() []passage {
	var most time.Duration
	for _, e := range r.Plan.Estimates(r.Parts, r.Answers) {
		most = max(most, e.Backout)
	}
	longest := plan.Span(most)
	return []passage{{list: []string{
		"Before a member is drained, every former version of what will change is secured on it; one that cannot be had refuses the member.",
		"A member whose patch or checks fail is brought back to exactly its former versions by itself, checked, and put back into service; its peers are not touched. About " + longest + " for a member.",
		"A soak that fails brings every patched member of the cluster back, the last one first, one at a time. More of these than the plan allows at once, and all stop for a person: then the fault is a shared one.",
		"A person brings back one cluster, or everything:",
	}}, {code: "rollpatch backout INSTANCE --cluster CLUSTER --reason \"...\"\nrollpatch backout INSTANCE --all --reason \"...\""},
		text("Not brought back: what a package did to data or formats, and what a restart or a reboot lost. A former kernel is not booted.")}
}

// approvers say whose word is asked for.
func (r requesting) approvers() []passage {
	var list []string
	if r.Plan.FreeToBegin() {
		list = append(list, "To begin: whoever starts the instance.")
	}
	for _, line := range agreements(r.Plan) {
		list = append(list, strings.ToUpper(line[:1])+line[1:]+".")
	}
	if by := soaksEnd(r.Plan, "policy"); len(by) > 0 {
		list = append(list, "The peers of "+strings.Join(by, ", ")+" follow by policy when the soak passed.")
	}
	who := approversOf(r.Plan)
	if len(who) == 0 {
		return []passage{{list: list}}
	}
	t := passage{head: []string{"approver", "as", "owns clusters of"}}
	for _, a := range who {
		t.rows = append(t.rows, []string{a.Principal, rolesOf(a), strings.Join(a.Owns, ", ")})
	}
	return []passage{{list: list}, t}
}

// window says when it may begin.
func (r requesting) window() []passage {
	if r.dates == nil {
		return []passage{text("None is set: it begins when somebody starts it.")}
	}
	var freezes []string
	for _, f := range r.Plan.Agreement.Freezes {
		freezes = append(freezes, "In freeze "+f.Name+" ("+f.Reason+") nothing begins. "+whoBreaks(f.People)+".")
	}
	t := passage{head: dateColumns}
	for _, row := range dateRows(r.Plan, r.Parts, r.dates) {
		t.rows = append(t.rows, row.cells)
	}
	out := []passage{text("%s", ifAll(r.dates)), t}
	if late := late(r.dates); len(late) > 0 {
		out = append(out, passage{list: late})
	}
	if len(freezes) > 0 {
		out = append(out, passage{list: freezes})
	}
	return out
}

func (r requesting) risks() []passage {
	var out []passage
	if len(r.Answers) == 0 {
		out = append(out, text("No host was asked: packages, reboots and what a host would refuse are not known."))
	} else {
		out = append(out, text("%s", asked(r.f)))
	}
	if len(r.f.Unknown) > 0 {
		t := passage{head: []string{"cluster", "host", "nothing is known of it, because"}}
		for _, u := range r.f.Unknown {
			if len(r.Answers) > 0 {
				t.rows = append(t.rows, []string{u.Cluster, u.Host, u.Why})
			}
		}
		if len(t.rows) > 0 {
			out = append(out, t)
		}
	}
	if len(r.f.Risks) > 0 {
		t := passage{head: []string{"cluster", "risk"}}
		for _, k := range r.f.Risks {
			t.rows = append(t.rows, []string{k.Cluster, k.Text})
		}
		out = append(out, t)
	}
	return out
}

// versions lists every version. Clusters that would get the same are listed together.
func (r requesting) versions() []passage {
	var keys []string
	clusters, rows := map[string][]string{}, map[string][][]string{}
	for _, e := range r.f.Clusters {
		if e.Platform == "" || len(e.Packages) == 0 {
			continue
		}
		var lines [][]string
		for _, k := range e.Packages {
			lines = append(lines, []string{k.Name, k.Old, k.New, k.Security, k.Origin, size(k.Size), fmt.Sprintf("%d of %d", len(k.Hosts), len(e.Hosts))})
		}
		key := e.Platform + fmt.Sprint(lines)
		if !slices.Contains(keys, key) {
			keys, rows[key] = append(keys, key), lines
		}
		clusters[key] = append(clusters[key], e.Cluster+" on "+e.Platform)
	}
	var out []passage
	for _, key := range keys {
		out = append(out, text("%s:", strings.Join(clusters[key], ", ")), passage{head: []string{"package", "from", "to", "security fix", "origin", "download", "hosts"}, rows: rows[key]})
	}
	if len(out) == 0 {
		return []passage{text("Nothing is pending, as far as hosts were asked.")}
	}
	return out
}
