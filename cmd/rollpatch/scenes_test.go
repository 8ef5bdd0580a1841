package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/inventory/file"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// sceneStart is when every scene's instance started.
var sceneStart = time.Date(2026, 11, 1, 1, 0, 0, 0, time.UTC)

const (
	sceneInstance = "monthly-20261101T010000Z"
	laterInstance = "monthly-20261101T013000Z"
)

// stage is an instance in the making: its States are moved by the rules themselves, so that no scene shows what cannot be.
type stage struct {
	at       time.Time
	campaign rollout.Campaign
	clusters map[string]*workflows.ClusterState
	members  map[string]*workflows.MemberState
	closed   map[string]string // workflow id -> status of one that was ended from outside
	pending  map[string][]status.Activity
	silent   bool
	refuses  string
	taken    bool // another instance has the name that is asked for
}

// sceneFiles are the plan of every scene and its parts.
func sceneFiles() (plan.Plan, map[string]plan.Part) {
	read := func(name string) file.Source {
		raw, err := os.ReadFile("testdata/" + name)
		if err != nil {
			panic(err)
		}
		return file.Source{Name: name, Raw: raw}
	}
	inv, err := file.ParseInventory(read("inventory.yaml"))
	if err != nil {
		panic(err)
	}
	c, err := file.ParseCampaign(read("monthly.yaml"))
	if err != nil {
		panic(err)
	}
	return plan.Build(c.Value, inv.Value.Resolve())
}

// sceneStore is the store of every scene.
type sceneStore map[string][]byte

func (s sceneStore) Get(_ context.Context, digest string) ([]byte, error) {
	if body, ok := s[digest]; ok {
		return body, nil
	}
	return nil, fs.ErrNotExist
}

func newStage() *stage {
	pl, parts := sceneFiles()
	s := &stage{
		at: sceneStart, campaign: pl.Campaign(sceneInstance, "ann@desk", sceneStart), clusters: map[string]*workflows.ClusterState{},
		members: map[string]*workflows.MemberState{}, closed: map[string]string{}, pending: map[string][]status.Activity{},
	}
	for name, p := range parts {
		s.clusters[name] = &workflows.ClusterState{Cluster: p.State(sceneInstance, false)}
	}
	return s
}

func (s *stage) later(d time.Duration) *stage { s.at = s.at.Add(d); return s }

// begin starts a cluster and gives it its claim.
func (s *stage) begin(cluster string) *stage {
	s.campaign = s.campaign.Started(cluster)
	c := s.clusters[cluster]
	c.Since = s.at
	c.Cluster = c.Claim("claim.0", rollout.ClaimResult{OK: true}, s.at)
	return s.report(cluster)
}

// astray lets asks for the claim, or the release, go unanswered for a time.
func (s *stage) astray(cluster string, lasts time.Duration) *stage {
	c := s.clusters[cluster]
	if c.Since.IsZero() {
		s.campaign = s.campaign.Started(cluster)
		c.Since = s.at
	}
	lost := rollout.ClaimResult{Reason: "consul through cache-1, cache-2: unreachable: no answer"}
	for end := s.at.Add(lasts); !s.at.After(end); s.later(max(c.NextAsk.Sub(s.at), time.Second)) {
		switch c.Phase {
		case rollout.PhaseClaim:
			c.Cluster = c.Claim(fmt.Sprintf("claim.%d", c.Asked), lost, s.at)
		case rollout.PhaseRelease:
			c.Cluster = c.Released(fmt.Sprintf("release.%d", c.Asked), lost, s.at)
		}
	}
	return s.report(cluster)
}

func (s *stage) report(cluster string) *stage {
	s.campaign = s.campaign.Reported(s.clusters[cluster].Report(), s.at)
	return s
}

// out brings a member as far as a step.
func (s *stage) out(cluster, host string, step rollout.Step) *stage {
	c := s.clusters[cluster]
	c.Cluster = c.Started(host, rollout.ModePatch, s.at)
	m := &workflows.MemberState{Member: rollout.NewMember(sceneInstance, cluster, host, rollout.ModePatch, c.Manifest == "", rollout.MemberPolicy{
		Reboot: rollout.RebootAlways, WaitMax: time.Minute, RetryEvery: time.Second, Leftover: "hold", HoldMax: 4 * time.Hour,
	})}
	s.members[host] = m
	for m.Step != step {
		s.pass(host)
	}
	return s
}

// pass lets the member's step in flight pass.
func (s *stage) pass(host string) *stage {
	return s.step(host, rollout.MemberResult{Verdict: rollout.Pass})
}

func (s *stage) step(host string, r rollout.MemberResult) *stage {
	m := s.members[host]
	if r.Verdict == rollout.Pass {
		switch m.Step {
		case rollout.StepInspect:
			m.BootOld, m.BootNew = "boot-a", "boot-a"
		case rollout.StepFetch:
			r.Changes, m.Changed = 2, "sha256:changes"
		case rollout.StepGate:
			r.Peers = []rollout.Redundancy{{Cluster: m.Cluster, Size: 3, MaxOut: 1, MinHealthy: 1, PeersIn: 2}}
		case rollout.StepReboot:
			m.BootNew = "boot-b"
		}
	}
	s.later(time.Second)
	m.Member = m.Apply(fmt.Sprintf("%s.%d", m.Step, m.Asked), r, s.at)
	if m.Outcome != "" {
		c := s.clusters[m.Cluster]
		c.Cluster = c.Ended(rollout.MemberEnd{
			Host: host, Mode: m.Mode, Outcome: m.Outcome, Reason: m.Reason, Manifest: "sha256:manifest", Changes: "sha256:changes", Count: m.Changes, BootOld: m.BootOld, BootNew: m.BootNew, OutMilli: m.OutMilli,
		}, s.at)
		s.report(m.Cluster)
	}
	return s
}

// whole brings a member from its beginning to its end.
func (s *stage) whole(cluster, host string) *stage {
	s.out(cluster, host, rollout.StepInspect)
	for s.members[host].Outcome == "" {
		s.pass(host)
	}
	return s
}

// bad brings a member back to its ledger, after checks that fail.
func (s *stage) bad(cluster, host string) *stage {
	s.out(cluster, host, rollout.StepCheck).step(host, rollout.MemberResult{Verdict: rollout.Fail, Reason: "unit nginx.service is failed"})
	for s.members[host].Outcome == "" {
		s.pass(host)
	}
	return s
}

// soaked lets a soak come to its end with passes.
func (s *stage) soaked(cluster string) *stage {
	c := s.clusters[cluster]
	s.later(c.SoakEnds.Sub(s.at))
	c.Cluster = c.Sampled(rollout.WatchResult{Verdict: rollout.Pass, Passes: 3, Samples: 3}, s.at)
	c.Cluster = c.Tick(s.at)
	return s.report(cluster)
}

// atStart has the instance wait until people have agreed to its start.
func (s *stage) atStart() *stage {
	s.campaign.Gates = []rollout.Gate{{ID: "start"}}
	s.campaign = s.campaign.Convene(s.at).Judged(rollout.Judgment{Gate: "start", Why: "waits for 1 more person; agreed: bob", Until: s.at.Add(72 * time.Hour)}, s.at)
	return s
}

// agreed has people agree to a soak that passed.
func (s *stage) agreed(c rollout.Cluster) rollout.Cluster {
	return c.Judged(rollout.Judgment{Gate: rollout.SoakGate(c.Name, c.SoakNo), Open: true, Proven: true}, s.at)
}

// settled lets the time between two members go by.
func (s *stage) settled(cluster string) *stage {
	c := s.clusters[cluster]
	s.later(c.Policy.Settle)
	c.Cluster = c.Sampled(rollout.WatchResult{Verdict: rollout.Pass, Passes: 3, Samples: 3}, s.at)
	c.Cluster = c.Tick(s.at)
	return s.report(cluster)
}

func (s *stage) release(cluster string) *stage {
	c := s.clusters[cluster]
	c.Cluster = c.Released(fmt.Sprintf("release.%d", c.Asked), rollout.ClaimResult{OK: true}, s.at)
	return s.report(cluster)
}

// cacheDone has the first stage behind it.
func (s *stage) cacheDone() *stage {
	return s.begin("cache").whole("cache", "cache-1").soaked("cache").whole("cache", "cache-2").release("cache")
}

func (s *stage) frame() frame {
	f := frame{At: s.at, Workflows: map[string]entry{}, Taken: s.taken}
	add := func(id, kind, cluster string, ended bool, state any) {
		raw, err := json.Marshal(state)
		if err != nil {
			panic(err)
		}
		e := entry{Kind: kind, Cluster: cluster, JSON: raw, NoWorker: s.silent, Refuses: s.refuses, Execution: status.Execution{ID: id, Status: status.Running, Started: sceneStart, Pending: s.pending[id]}}
		if ended {
			e.Status, e.Closed = "completed", s.at
		}
		if how := s.closed[id]; how != "" {
			e.Status, e.Closed = how, s.at
		}
		f.Workflows[id] = e
	}
	add(workflows.CampaignID(sceneInstance), workflows.CampaignType, "", s.campaign.Outcome != "", workflows.CampaignState{Campaign: s.campaign})
	for _, r := range s.campaign.Clusters {
		if r.Running || r.Outcome != "" {
			add(workflows.ClusterID(sceneInstance, r.Name), workflows.ClusterType, r.Name, r.Outcome != "", s.clusters[r.Name])
		}
	}
	for host, m := range s.members {
		add(workflows.MemberID(host), workflows.MemberType, "", m.Outcome != "", m)
	}
	e := f.Workflows[workflows.CampaignID(sceneInstance)]
	e.State = "running"
	if s.campaign.Outcome != "" {
		e.State = string(s.campaign.Outcome)
	} else if s.campaign.Held() {
		e.State = status.Hold
	} else if g, waits := s.campaign.Awaits(); waits && !g.Expired {
		e.State = string(rollout.PhaseGate)
	}
	f.Workflows[e.ID] = e
	return f
}

// asksForChange has a change number asked for.
func (s *stage) asksForChange() *stage {
	s.campaign.Change = &rollout.Change{By: "the change hook (open-change)", Timeout: 30 * time.Second, Within: 10 * time.Minute}
	s.campaign = s.campaign.ChangeAsked(s.at)
	return s
}

// ofSchedule has a schedule have made it, to begin in an hour.
func (s *stage) ofSchedule() *stage {
	s.campaign.Turn = &rollout.Turn{Begin: s.at.Add(time.Hour)}
	return s
}

// scenes are what scripts ask for by name.
var scenes = map[string]func() []frame{
	"none": func() []frame { return []frame{{At: sceneStart}} },
	// hosts that are asked what they would get
	"asked": func() []frame { return []frame{{At: sceneStart, Asked: askedHosts("1.1")}} },
	"named": func() []frame {
		return []frame{{At: sceneStart, Asked: namedHosts("cache-1", "cache-2", "web-1", "web-2", "web-3")}}
	},
	"half":  func() []frame { return []frame{{At: sceneStart, Asked: namedHosts("web-1", "web-2")}} },
	"alone": func() []frame { return []frame{{At: sceneStart, Nobody: true}} },
	// an emergency's advisory: the repositories have its fix, or an older version, or nothing newer; one host of three is silent
	"fixed":   func() []frame { return []frame{advisedHosts("1:9.2p1-2+deb12u3")} },
	"behind":  func() []frame { return []frame{advisedHosts("1:9.2p1-2+deb12u2.1")} },
	"unfixed": func() []frame { return []frame{advisedHosts("")} },
	"partly": func() []frame {
		f := advisedHosts("1:9.2p1-2+deb12u3")
		f.Asked = f.Asked[:len(f.Asked)-1]
		return []frame{f}
	},
	"later":  func() []frame { return []frame{{At: sceneStart.Add(time.Hour), Asked: askedHosts("1.4")}} },
	"looked": func() []frame { return []frame{{At: sceneStart, Asked: lookedAt()}} },
	"untold": func() []frame { return []frame{{At: sceneStart, Asked: untoldHosts()}} },
	"nobody": func() []frame { return []frame{{At: sceneStart, Nobody: true}} },
	"drain": func() []frame {
		return []frame{newStage().cacheDone().begin("web").out("web", "web-1", rollout.StepDrain).frame()}
	},
	"gate": func() []frame { return []frame{gated().frame()} },
	// whoever keeps changes is asked for a number, gave one, or refused
	"changeasked": func() []frame { return []frame{newStage().asksForChange().frame()} },
	"changerefused": func() []frame {
		s := newStage().asksForChange()
		s.campaign = s.campaign.ChangeRefused("change freeze until Monday", s.at)
		return []frame{s.frame()}
	},
	"changed": func() []frame {
		s := newStage().asksForChange()
		s.campaign = s.campaign.ChangeOpened("CHG0031")
		return []frame{s.begin("cache").frame()}
	},
	// two people must agree before anything begins, and one has
	"start": func() []frame { return []frame{newStage().atStart().frame()} },
	"advised": func() []frame {
		s := newStage().atStart()
		s.campaign.Emergency = "openssh-client, openssh-server"
		s.campaign.Advisories = []rollout.Advisory{{ID: "DSA-5724-1", Summary: "openssh - security update", Fixed: []string{"openssh 1:9.2p1-2+deb12u3 (Debian:12)"}, Packages: []string{"openssh-client", "openssh-server"}}}
		return []frame{s.frame()}
	},
	"startexpired": func() []frame {
		s := newStage().atStart().later(72 * time.Hour)
		s.campaign = s.campaign.Judged(rollout.Judgment{Gate: "start", Expired: true, Why: "expired at 2026-11-04T01:00:00Z without 1 more person; agreed: bob"}, s.at)
		return []frame{s.frame()}
	},
	"refuses": func() []frame {
		s := gated()
		s.refuses = `cluster "web": soak 1 cannot be approved while its verdict is inconclusive`
		return []frame{s.frame()}
	},
	"soak":   func() []frame { return []frame{newStage().cacheDone().begin("web").whole("web", "web-1").frame()} },
	"hold":   func() []frame { return []frame{newStage().cacheDone().begin("web").bad("web", "web-1").frame()} },
	"astray": func() []frame { return []frame{newStage().astray("cache", time.Minute).frame()} },
	"lost":   func() []frame { return []frame{newStage().astray("cache", time.Hour).frame()} },
	"owed": func() []frame {
		s, jane := newStage().astray("cache", time.Hour), rollout.Message{Actor: "jane", Reason: "not tonight"}
		s.campaign, s.clusters["cache"].Cluster = s.campaign.Abort(jane, s.at), s.clusters["cache"].Abort(jane, s.at)
		return []frame{s.report("cache").astray("cache", time.Hour).frame()}
	},
	"silent": func() []frame { s := gated(); s.silent = true; return []frame{s.frame()} },
	"paused": func() []frame {
		s := newStage()
		s.campaign = s.campaign.Hold(rollout.Message{Actor: "bob", Reason: "lunch"})
		return []frame{s.frame()}
	},
	"pausedlater": func() []frame {
		s := newStage().cacheDone().begin("web").out("web", "web-1", rollout.StepDrain)
		s.campaign = s.campaign.Hold(rollout.Message{Actor: "bob", Reason: "lunch"})
		c := s.clusters["web"]
		c.Cluster = c.Hold(rollout.Message{Actor: "bob", Reason: "lunch"})
		return []frame{s.frame()}
	},
	// two clusters whose soaks wait at the same time
	"gates": func() []frame {
		s := newStage()
		for i := range s.campaign.Clusters {
			s.campaign.Clusters[i].Stage = 0
		}
		for _, c := range s.clusters {
			c.Policy.SoakApproval = true
		}
		return []frame{s.begin("cache").whole("cache", "cache-1").begin("web").whole("web", "web-1").soaked("cache").soaked("web").frame()}
	},
	// a soak failed, and its campaign has not answered
	"ask": func() []frame { return []frame{soakFailed().frame()} },
	// it may not be backed out: others failed too
	"shared": func() []frame {
		s := soakFailed()
		s.campaign.Breaker = 1
		s.campaign.Clusters[0].Granted, s.campaign.Clusters[0].Blames[0] = s.at, rollout.Blamed{What: `check "page"`, Times: 1}
		s.report("web")
		w, _ := s.campaign.Answer(s.clusters["web"].Report())
		s.clusters["web"].Cluster = s.clusters["web"].Heed(w, s.at)
		return []frame{s.report("web").frame()}
	},
	// both clusters are of one stage, and the second one waits for the canary of the first
	"ramp": func() []frame {
		s := newStage()
		for i := range s.campaign.Clusters {
			s.campaign.Clusters[i].Stage = 0
		}
		return []frame{s.begin("cache").out("cache", "cache-1", rollout.StepPatch).frame()}
	},
	// the same approve is said again when the cluster has gone on
	"again": func() []frame {
		s := gated()
		c := s.clusters["web"]
		c.Cluster = s.agreed(c.Cluster)
		c.Seen.IDs = append(c.Seen.IDs, "approve mine")
		return []frame{s.report("web").out("web", "web-2", rollout.StepDrain).frame()}
	},
	"frozen": func() []frame {
		s := newStage()
		f := s.frame()
		id := workflows.FreezeID
		f.Workflows[id] = entry{Kind: workflows.FreezeType, Execution: status.Execution{ID: id, Status: status.Running, Started: sceneStart}}
		f.Frozen = frozen{Frozen: true, By: "bob", Since: sceneStart, Reason: "incident 12", ID: "bobs"}
		return []frame{f}
	},
	// what a schedule made has everybody's agreement, and its window opens in an hour; or nobody can tell whether it does
	"turn": func() []frame { return []frame{newStage().ofSchedule().frame()} },
	"turnunknown": func() []frame {
		s := newStage().ofSchedule().later(time.Hour)
		s.campaign = s.campaign.TurnAsked("turn.0", rollout.Opening{Unknown: "calendar: connection refused"}, s.at)
		return []frame{s.frame()}
	},
	// one schedule waits, and one was paused while its instance is on its way
	"scheduled": func() []frame {
		f := newStage().frame()
		at := time.Date(2026, 11, 6, 21, 0, 0, 0, time.UTC)
		f.Schedules = []scheduled{
			{Name: "monthly", Note: "created by ann (claimed)", By: "ann", Lead: "5d", Next: []calendar.Firing{{At: at, Begin: at.AddDate(0, 0, 5)}}, Ahead: 12, Until: time.Date(2027, 10, 8, 21, 0, 0, 0, time.UTC), Last: at.AddDate(0, 0, -28), Skipped: 1},
			{Name: "weekly", Paused: true, Note: "paused, by ben (claimed): the fair", Running: []string{"schedule/weekly-2026-11-01T01:00:00Z"}},
		}
		raw, err := json.Marshal(workflows.FiringState{Name: "weekly", Instance: "weekly-20261101T010000Z"})
		if err != nil {
			panic(err)
		}
		f.Workflows["schedule/weekly-2026-11-01T01:00:00Z"] = entry{Kind: workflows.FiringType, JSON: raw}
		return []frame{f}
	},
	// schedules that have made no instance yet: one waits, one was paused, one makes its first plan, one has no further times
	"unmade": func() []frame {
		at := time.Date(2026, 11, 6, 21, 0, 0, 0, time.UTC)
		return []frame{{At: sceneStart, Schedules: []scheduled{
			{Name: "monthly", Next: []calendar.Firing{{At: at, Begin: at.AddDate(0, 0, 5)}}, Ahead: 1},
			{Name: "weekly", Paused: true, Next: []calendar.Firing{{At: at, Begin: at.AddDate(0, 0, 5)}}},
			{Name: "daily", Running: []string{"schedule/daily-2026-11-01T01:00:00Z"}},
			{Name: "spent"},
		}}}
	},
	// a freeze is met before the drain
	"frozenmember": func() []frame {
		s := newStage().cacheDone().begin("web").out("web", "web-1", rollout.StepGate)
		return []frame{s.step("web-1", rollout.MemberResult{Verdict: rollout.Pass, Frozen: "the whole estate is frozen since 2026-11-01 01:00 by bob (claimed): incident 12"}).frame()}
	},
	// a cluster waits for the end of two freezes of the files, one of which some people may break
	"frozenday": func() []frame {
		s := newStage().cacheDone().begin("web")
		day := sceneStart.Truncate(24 * time.Hour)
		c := s.clusters["web"]
		c.Policy.Windows, c.Closed, c.WaitFor, c.NextAsk = true, true, `freeze "fair" until 2026-11-03T00:00:00Z`, s.at.Add(time.Hour)
		c.Stands = []rollout.Freeze{{Name: "fair", From: day, To: day.Add(48 * time.Hour), Begin: s.at.Add(2 * time.Hour), Takes: 40 * time.Minute}, {Name: "audit", From: day, To: day.Add(24 * time.Hour)}}
		return []frame{agreeing(s.frame(), `{"asker":{"names":["ann@example.org"],"key":"SHA256:ann"},"agreement":{"freezes":[
			{"name":"fair","reason":"shop","people":["mia@example.org","ben@example.org"]},{"name":"audit","reason":"books"},{"name":"quiet","reason":"night","people":["mia@example.org"]}]}}`)}
	},
	// a host that was released from its quarantine, as its own workflow has it
	"returning": func() []frame { return returned("") },
	"returned":  func() []frame { return returned(rollout.Pass) },
	"notyet":    func() []frame { return returned(rollout.Fail) },
	"frozensilent": func() []frame {
		id := workflows.FreezeID
		return []frame{{At: sceneStart, Workflows: map[string]entry{id: {NoWorker: true, Execution: status.Execution{ID: id, Status: status.Running}}}}}
	},
	"records":    func() []frame { return recorded("") },
	"versions":   versionsShut,
	"silentkv":   func() []frame { return recorded("no worker") },
	"slowkv":     func() []frame { return recorded("on its way: Check is tried again: connection refused") },
	"brokenkv":   func() []frame { return recorded("failed: list: dial tcp 192.0.2.11:22: i/o timeout") },
	"refusingkv": func() []frame { return recorded(`refused: cluster "web" is claimed by weekly-1, which works on it`) },
	"taken":      func() []frame { s := newStage(); s.taken = true; return []frame{s.frame()} },
	// the last member of all is on its way, and held by a person: there is nothing left to hold
	"last": func() []frame {
		s := gated()
		c := s.clusters["web"]
		c.Cluster = s.agreed(c.Cluster)
		s.whole("web", "web-2").settled("web").out("web", "web-3", rollout.StepPatch)
		s.campaign = s.campaign.Hold(rollout.Message{Actor: "bob", Reason: "lunch"})
		c.Cluster = c.Hold(rollout.Message{Actor: "bob", Reason: "lunch"})
		return []frame{s.frame()}
	},
	"pausedgate": func() []frame {
		s := gated()
		s.campaign = s.campaign.Hold(rollout.Message{Actor: "bob", Reason: "lunch"})
		return []frame{s.frame()}
	},
	// a backout was taken while a member is on its way
	"backingout": func() []frame {
		s := gated()
		c := s.clusters["web"]
		c.Cluster = s.agreed(c.Cluster)
		s.out("web", "web-2", rollout.StepPatch)
		c.Cluster = c.Backout(rollout.Message{ID: "1", Actor: "ann", Reason: "slow"}, "backout", s.at)
		return []frame{s.report("web").frame()}
	},
	// its instance still runs, and a person has released the host from its quarantine
	"released": func() []frame {
		s := newStage().begin("cache").out("cache", "cache-1", rollout.StepPatch)
		s.step("cache-1", rollout.MemberResult{Verdict: rollout.Fail, Reason: "dpkg ended with 1"})
		s.step("cache-1", rollout.MemberResult{Verdict: rollout.Fail, Reason: "openssl 3.0.11 is missing"})
		for s.members["cache-1"].Outcome == "" {
			s.pass("cache-1")
		}
		s.members["cache-1"] = returningMember("cache-1", rollout.Pass, s.at)
		return []frame{s.frame()}
	},
	"settle": func() []frame {
		s := gated()
		c := s.clusters["web"]
		c.Cluster = s.agreed(c.Cluster)
		return []frame{s.whole("web", "web-2").frame()}
	},
	"backout": func() []frame {
		s := gated()
		c := s.clusters["web"]
		c.Cluster = c.Backout(rollout.Message{Actor: "ann", Reason: "slow"}, "reject", s.at)
		c.Cluster = c.Started("web-1", rollout.ModeBackout, s.at)
		s.members["web-1"] = &workflows.MemberState{Member: rollout.NewMember(sceneInstance, "web", "web-1", rollout.ModeBackout, false, rollout.MemberPolicy{})}
		return []frame{s.report("web").frame()}
	},
	// the first stage's member is on its way, the second one has not begun
	"first": func() []frame {
		return []frame{newStage().begin("cache").out("cache", "cache-1", rollout.StepGate).frame()}
	},
	"claim": func() []frame {
		s := newStage()
		s.campaign = s.campaign.Started("cache")
		c := s.clusters["cache"]
		c.Since = s.at
		c.Cluster = c.Claim("claim.0", rollout.ClaimResult{Held: true, Reason: "cluster cache is claimed by weekly-20261101T000000Z"}, s.at)
		return []frame{s.report("cache").frame()}
	},
	// the same campaign twice: the second one waits for the claim of the first, which stands at a gate
	"twice": func() []frame {
		first, second := newStage(), newStage()
		first.clusters["cache"].Policy.SoakApproval = true
		f := first.begin("cache").whole("cache", "cache-1").soaked("cache").frame()
		second.campaign = second.campaign.Started("cache")
		c := second.clusters["cache"]
		c.Since = second.at
		c.Cluster = c.Claim("claim.0", rollout.ClaimResult{Held: true, Reason: "cluster/cache is claimed by OWNER since 2026-11-01 01:00 (November)"}, second.at)
		waits := second.report("cache").frame()
		for id, e := range waits.Workflows {
			e.JSON = []byte(strings.ReplaceAll(strings.ReplaceAll(string(e.JSON), sceneInstance, laterInstance), "OWNER", sceneInstance))
			e.ID, e.Started = strings.ReplaceAll(id, sceneInstance, laterInstance), e.Started.Add(30*time.Minute)
			f.Workflows[e.ID] = e
		}
		return []frame{f}
	},
	"unreachable": func() []frame {
		s := newStage().cacheDone().begin("web").out("web", "web-1", rollout.StepPatch)
		s.pending[workflows.MemberID("web-1")] = []status.Activity{{Name: "Patch", Attempt: 7, Failure: "dial tcp 192.0.2.11:22: i/o timeout"}}
		return []frame{s.frame()}
	},
	"memberhold": func() []frame {
		s := newStage().cacheDone().begin("web").out("web", "web-1", rollout.StepPatch)
		for range 70 {
			s.step("web-1", rollout.MemberResult{Verdict: rollout.Inconclusive, Reason: "ssh: web-1: connection refused"})
		}
		c, h := s.clusters["web"], s.members["web-1"].Holding()
		h.Try = 1
		c.Cluster = c.Holding(h)
		return []frame{s.frame()}
	},
	"terminated": func() []frame {
		s := newStage().cacheDone().begin("web").out("web", "web-1", rollout.StepPatch)
		s.closed[workflows.CampaignID(sceneInstance)] = "terminated"
		return []frame{s.frame()}
	},
	"done":   func() []frame { return []frame{finished(newStage().cacheDone(), nil).frame()} },
	"halted": func() []frame { return []frame{halted().frame()} },
	// aborted when web's canary had soaked
	"webheld": func() []frame {
		s := gated()
		m := rollout.Message{Actor: "ann", Reason: "enough"}
		s.clusters["web"].Cluster = s.clusters["web"].Abort(m, s.at)
		s.campaign = s.campaign.Abort(m, s.at)
		return []frame{s.release("web").frame()}
	},
	// a good instance from its start to its end, in moments, with a worker that is away for one of them
	"story": func() []frame {
		s := newStage()
		frames := []frame{s.frame()}
		shot := func() { frames = append(frames, s.frame()) }
		s.begin("cache").out("cache", "cache-1", rollout.StepDrain)
		shot()
		s.silent = true
		shot()
		s.silent = false
		for s.members["cache-1"].Outcome == "" {
			s.pass("cache-1")
		}
		shot()
		s.soaked("cache").whole("cache", "cache-2").release("cache")
		shot()
		finished(s, shot)
		return frames
	},
	// a person has what failed tried again: for a moment the instance still looks held
	"retried": func() []frame {
		s := newStage().begin("cache").bad("cache", "cache-1")
		frames := []frame{s.frame(), s.frame()}
		c := s.clusters["cache"]
		c.Cluster = c.Retry(rollout.Message{Actor: "ann", Reason: "again"}, s.at)
		s.report("cache").whole("cache", "cache-1").soaked("cache").whole("cache", "cache-2").release("cache")
		frames = append(frames, s.frame())
		return append(frames, finished(s, nil).frame())
	},
}

// returned is a host after, or on, its way back from a quarantine.
func returned(v rollout.Verdict) []frame {
	s := halted()
	s.members["cache-1"] = returningMember("cache-1", v, s.at)
	return []frame{s.frame()}
}

func returningMember(host string, v rollout.Verdict, at time.Time) *workflows.MemberState {
	m := &workflows.MemberState{Member: rollout.NewMember(sceneInstance, "", host, rollout.ModeReturn, false, rollout.MemberPolicy{})}
	for v != "" && m.Outcome == "" {
		m.Member = m.Apply(fmt.Sprintf("%s.%d", m.Step, m.Asked), rollout.MemberResult{Verdict: v, Reason: "unit redis is failed"}, at)
	}
	return m
}

// recorded is a Consul with one record of each kind, and an instance that nobody here knows.
func recorded(answer string) []frame {
	record := func(key, owner, reason, how string, drained bool) workflows.Record {
		return workflows.Record{Claim: activities.Claim{Key: key, Owner: owner, Since: sceneStart, Reason: reason}, Live: how == status.Running, Status: how, Drained: drained}
	}
	return []frame{{At: sceneStart, Answer: answer, Records: []workflows.Record{
		record("cluster/cache", sceneInstance, "November security updates", status.Running, false),
		record("cluster/web", "weekly-20261025T010000Z", "kernel", "not found", false),
		record("drain/web-1", "monthly-20261001T010000Z", "", "failed", false),
		record("quarantine/web-1", "monthly-20261001T010000Z", "the backout failed", "failed", true),
		record("quarantine/web-2", "monthly-20261001T010000Z", "its checks do not pass", "failed", false),
	}}}
}

// versionsShut is a Consul with a host in quarantine, versions whose list this store has, and overdue ones whose list it has not.
func versionsShut() []frame {
	f := recorded("")
	record := func(key, host, why, body string, n int, since time.Time) workflows.Record {
		return workflows.Record{Status: "failed", Claim: activities.Claim{Key: key, Owner: "monthly-20261001T010000Z", Since: since, Reason: why, Told: &activities.Told{Cluster: "web", Owner: "web team", Contact: "web@rollpatch.invalid"}, Suspects: &activities.Suspects{
			Cluster: "web", OS: "debian", Release: "12", Arch: "amd64", Host: host, Body: "sha256:" + body, Count: n, Review: since.Add(30 * 24 * time.Hour),
		}}}
	}
	f[0].Records = append(f[0].Records[3:4:4],
		record("versions/web/3f2a9c1b7d20", "web-1", `check "page" on web-1: status 500, want 200`, "012718f5f323ec31d93b7b55e5dda60fcbfcad31b5367333751bcc978fa4b961", 2, sceneStart),
		record("versions/web/aa00bb11cc22", "web-2", "the soak failed", "0000000000000000000000000000000000000000000000000000000000000000", 41, sceneStart.Add(-60*24*time.Hour)),
		record("versions/cache/aa00bb11cc22", "web-2", "the soak failed", "0000000000000000000000000000000000000000000000000000000000000000", 41, sceneStart.Add(-60*24*time.Hour)),
	)
	f[0].Records[3].Widened = &activities.Widened{ID: "id-0", From: "web/aa00bb11cc22", By: "ann", At: sceneStart, Why: "the same image"}
	return f
}

// soakFailed is a cluster whose soak failed.
func soakFailed() *stage {
	s := newStage().cacheDone().begin("web").whole("web", "web-1").later(time.Hour)
	c := s.clusters["web"]
	c.Cluster = c.Sampled(rollout.WatchResult{Verdict: rollout.Fail, Reason: `check "page" on web-1: status 500, want 200`, Blame: `check "page"`, Samples: 1}, s.at)
	return s
}

func gated() *stage {
	return newStage().cacheDone().begin("web").whole("web", "web-1").soaked("web")
}

func finished(s *stage, shot func()) *stage {
	s.begin("web").whole("web", "web-1").soaked("web")
	if shot != nil {
		shot()
	}
	c := s.clusters["web"]
	c.Cluster = s.agreed(c.Cluster)
	s.whole("web", "web-2").settled("web").whole("web", "web-3").release("web")
	if shot != nil {
		shot()
	}
	return s
}

// halted has a member in quarantine: neither its patch nor its backout came to anything.
func halted() *stage {
	s := newStage()
	s.clusters["cache"].Policy.Unattended = true
	s.begin("cache").out("cache", "cache-1", rollout.StepPatch)
	s.step("cache-1", rollout.MemberResult{Verdict: rollout.Fail, Reason: "dpkg ended with 1"})
	s.step("cache-1", rollout.MemberResult{Verdict: rollout.Fail, Reason: "openssl 3.0.11 is missing"})
	for s.members["cache-1"].Outcome == "" {
		s.pass("cache-1")
	}
	return s.release("cache")
}

// writeScene puts a scene where the command under test finds it.
func writeScene(name, path string) error {
	make, ok := scenes[name]
	if !ok {
		var known []string
		for k := range scenes {
			known = append(known, k)
		}
		return fmt.Errorf("no scene %q, there are %s", name, strings.Join(known, " "))
	}
	raw, err := json.Marshal(fake{Frames: make()})
	if err != nil {
		return err
	}
	return os.WriteFile(path, raw, 0o600)
}
