package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/rollpatch/rollpatch/workflows/advisory"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

// AskHostsInput is one batch of hosts that are asked what they would get.
type AskHostsInput struct {
	Question string `json:"question"` // digest of a plan.Question
}

// AskHostsResult is where the answers are, and how many there are: the answers themselves are too much for a history.
type AskHostsResult struct {
	Answers string `json:"answers"` // digest of a list of plan.Answer
	Asked   int    `json:"asked"`
	Unknown int    `json:"unknown,omitempty"`
}

const (
	// askedAtOnce is how many hosts of a batch are asked at the same time.
	askedAtOnce = 8
	// answerFor is how long one host has for its answer: reading the repositories is most of it.
	answerFor = 3 * time.Minute
	// planLockWait is how many seconds a plan waits for a package lock.
	planLockWait = "30"
)

// AskHosts asks a batch of hosts what they would get, were they patched now, or what stands against that. It changes no package and keeps nothing there; apt reads its
// repositories anew. What a host does not tell is unknown, and keeps nobody from the others.
func (a *Activities) AskHosts(ctx context.Context, in AskHostsInput) (AskHostsResult, error) {
	ctx, stop := a.beating(ctx)
	defer stop()
	var q plan.Question
	if err := a.load(ctx, in.Question, &q); err != nil {
		return AskHostsResult{}, err
	}
	answers := make([]plan.Answer, len(q.Hosts))
	records, took := newRecordsOnce(ctx, a.Claims), tookOnce(ctx, a.Took.Measured)
	next := make(chan int)
	var all sync.WaitGroup
	for range min(askedAtOnce, len(q.Hosts)) {
		all.Go(func() {
			for i := range next {
				if q.Check {
					answers[i] = a.look(ctx, q.Hosts[i], records)
				} else {
					answers[i] = a.answer(ctx, q, q.Hosts[i], records, took)
				}
			}
		})
	}
	for i := range q.Hosts {
		next <- i
	}
	close(next)
	all.Wait()
	if ctx.Err() != nil {
		// Another attempt follows. The last one's words reach a person, who would take a bare "context canceled" for the hosts' fault.
		return AskHostsResult{}, temporal.NewApplicationErrorWithCause("the worker that asked it was too slow, or was told to stop, before all answers were there", "", ctx.Err())
	}
	r := AskHostsResult{Asked: len(answers)}
	for _, one := range answers {
		if one.Unknown != "" {
			r.Unknown++
		}
	}
	var err error
	r.Answers, err = a.save(ctx, answers)
	return r, err
}

// recordsOnce reads the records of each Consul once for a whole batch.
type recordsOnce struct {
	ctx   context.Context // of the batch: whoever asks first is not the only one who wants to know
	mu    sync.Mutex
	list  func(ctx context.Context, c ConsulAccess, prefix string) ([]Claim, error)
	known map[string]func() ([]Claim, error)
}

func newRecordsOnce(ctx context.Context, claims Claims) *recordsOnce {
	return &recordsOnce{ctx: ctx, list: claims.List, known: map[string]func() ([]Claim, error){}}
}

// List is what the records below a prefix were when they were first asked for.
func (o *recordsOnce) List(_ context.Context, c ConsulAccess, prefix string) ([]Claim, error) {
	// Every member leaves itself out of the ways to its Consul. To which Consul they lead does not depend on that.
	way := plan.Digest(c.Consul)
	o.mu.Lock()
	read, ok := o.known[way]
	if !ok {
		read = sync.OnceValues(func() ([]Claim, error) {
			ctx, cancel := context.WithTimeout(o.ctx, surveyFor)
			defer cancel()
			return o.list(ctx, c, "")
		})
		o.known[way] = read
	}
	o.mu.Unlock()
	all, err := read()
	return slices.DeleteFunc(slices.Clone(all), func(r Claim) bool { return !strings.HasPrefix(r.Key, prefix) }), err
}

// answer asks one host.
func (a *Activities) answer(ctx context.Context, q plan.Question, who plan.Asking, records *recordsOnce, took readsTook) plan.Answer {
	own, cancel := context.WithTimeout(ctx, answerFor)
	defer cancel()
	answer := plan.Answer{Host: who.Host}
	if err := a.fill(own, q, who, records, &answer); err != nil {
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no answer within %s", answerFor)
		}
		return plan.Answer{Host: who.Host, Unknown: clip(err.Error())}
	}
	a.unfinished(own, who, &answer)
	if p, err := a.part(own, who.Part); err == nil {
		e := a.estimateBy(own, took, p, who.Host, plan.Platform{OS: answer.OS, Release: answer.Release, Arch: answer.Arch}.String())
		answer.Estimate = &e
	}
	return answer
}

func (a *Activities) fill(ctx context.Context, asked plan.Question, who plan.Asking, records *recordsOnce, answer *plan.Answer) error {
	s, err := a.scene(ctx, who.Part, who.Host)
	if err != nil {
		return err
	}
	f, osID, err := a.facts(ctx, s)
	if err != nil {
		return err
	}
	answer.OS, answer.Release, answer.Arch, answer.Kernel, answer.Pending = f.OS, f.Release, f.Arch, f.Kernel, f.Reboot
	if f.Dirty {
		answer.Trouble = append(answer.Trouble, "its package database is not clean: run dpkg --configure -a there, or apt-get --fix-broken install")
		return nil // apt would not say more
	}
	if held, err := records.List(ctx, s.consul(), quarantineKey(who.Host)); err != nil {
		answer.Trouble = append(answer.Trouble, "Consul could not be asked whether it, or versions, are in quarantine: "+err.Error())
	} else if i := slices.IndexFunc(held, func(c Claim) bool { return c.Key == quarantineKey(who.Host) }); i >= 0 {
		answer.Trouble = append(answer.Trouble, fmt.Sprintf("it is in quarantine since %s by %s: %s", held[i].Since.UTC().Format("2006-01-02 15:04"), held[i].Owner, short(held[i].Reason)))
	}
	q, err := shutFor(ctx, s, f, Owner{}, records.List)
	if err != nil {
		q = nil // said above
	}
	var env []string
	if len(q) > 0 {
		env = []string{"ROLLPATCH_LEAVE_OUT", q.lines()}
	}
	looked := env
	if s.part.Emergency {
		looked = append(slices.Clip(env), "ROLLPATCH_INSTALLED", "1")
	}
	out, err := a.planScript(ctx, s, osID, "pending", looked...)
	if err != nil {
		return err
	}
	table := rows(out)
	wants := s.wants
	if h := readInstalled(table); len(h.installed) > 0 {
		answer.Named = asked.NamedOn(s.part.Packages, h.names())
		if len(asked.Advisories) > 0 {
			told := advisory.On(asked.Advisories, answer.OS, answer.Release, h.installed, h.offered, h.kept)
			brings := told.Brings()
			answer.Advised, wants = &told, func(row []string) bool { return s.wants(row) || slices.Contains(brings, row[1]) }
		}
	}
	p := readPending(table, wants, answer)
	if why := s.untold(table); why != "" {
		answer.Trouble, answer.Untold = append(answer.Trouble, why), why
		return nil // nothing would be fetched
	}
	if p.want == "" {
		return nil
	}
	if out, err = a.planScript(ctx, s, osID, "fetch", append(env, "ROLLPATCH_WANT", p.want, "ROLLPATCH_SIMULATE", "1")...); err != nil {
		answer.Trouble = append(answer.Trouble, "its transaction cannot be worked out: "+clip(err.Error()))
	}
	p.keep(parseChanges(out, "change"), answer)
	return nil
}

// planScript runs a script that changes no package.
func (a *Activities) planScript(ctx context.Context, s scene, osID, name string, env ...string) ([]byte, error) {
	script, err := s.script(a, osID, name)
	if err != nil {
		return nil, err
	}
	given := map[string]string{"ROLLPATCH_LOCK_WAIT": planLockWait}
	for i := 0; i < len(env); i += 2 {
		given[env[i]] = env[i+1]
	}
	return a.Runner.Query(ctx, s.target, script, given)
}

// pendings is what pending says of single packages.
type pendings struct {
	want   string // what the campaign wants of it, as fetch is given it
	all    map[string]plan.Package
	phased map[string]string
	signs  []plan.Sign
}

// readPending reads the table of pending. What holds whatever the transaction will be is put into the answer.
func readPending(table [][]string, wants func(row []string) bool, answer *plan.Answer) pendings {
	p := pendings{all: map[string]plan.Package{}, phased: map[string]string{}}
	for _, r := range table {
		switch {
		case (r[0] == "upgrade" || r[0] == "new") && len(r) >= 7:
			size, _ := strconv.ParseInt(r[6], 10, 64) // a size that is no number is not known
			p.all[r[1]+" "+r[3]] = plan.Package{Origin: r[4], Security: securityOf(r), Size: size, SHA256: digestOf(r)}
			switch {
			case r[0] == "new": // it comes with what needs it
			case wants(r):
				p.want += r[1] + "\t" + r[3] + "\n"
			default:
				answer.Alone = append(answer.Alone, r[1]+" "+r[3])
			}
		case r[0] == "held" && len(r) >= 3:
			answer.Held = append(answer.Held, r[1]+" "+r[2])
		case r[0] == "phased" && len(r) >= 4:
			p.phased[r[1]] = fmt.Sprintf("%s %s (%s %%)", r[1], r[2], r[3])
		case r[0] == "left" && len(r) >= 4 && wants(r):
			answer.LeftOut = append(answer.LeftOut, r[1]+" "+r[3])
		case r[0] == "reboot" && len(r) >= 4:
			p.signs = append(p.signs, plan.Sign{Sure: r[1] == "yes", Package: r[2], Why: r[3]})
		}
	}
	return p
}

// digestOf is what the repository says that the file's digest is; empty where it does not.
func digestOf(row []string) string {
	if len(row) < 8 || len(row[7]) != 64 {
		return ""
	}
	return row[7]
}

// keep puts a transaction into the answer, with what is known of its packages.
func (p pendings) keep(transaction []Change, answer *plan.Answer) {
	slices.SortFunc(transaction, func(x, y Change) int { return strings.Compare(x.Name, y.Name) })
	comes := map[string]bool{}
	for _, c := range transaction {
		k, known := p.all[c.Name+" "+c.New]
		switch {
		case c.New == "":
			answer.Trouble = append(answer.Trouble, "the transaction would remove "+c.Name+" "+c.Old+": it is refused")
		case !known:
			k.Security = plan.SecurityUnknown
		}
		k.Name, k.Old, k.New = c.Name, c.Old, c.New
		answer.Packages, comes[c.Name] = append(answer.Packages, k), c.New != ""
		if text := p.phased[c.Name]; text != "" {
			answer.Phased = append(answer.Phased, text)
		}
	}
	for _, s := range p.signs {
		if comes[s.Package] {
			answer.Reboot = append(answer.Reboot, s)
		}
	}
}
