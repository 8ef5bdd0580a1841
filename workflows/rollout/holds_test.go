package rollout

import (
	"fmt"
	"testing"
	"time"
)

func TestHoldsAreBooked(t *testing.T) {
	c := newCampaign()
	at := func(minutes int) time.Time { return epoch.Add(time.Duration(minutes) * time.Minute) }
	c = c.Book(at(0)).Hold(Message{Actor: "ann", Reason: "a fire"})
	c = c.Book(at(1)).Book(at(2)) // the same hold
	c.Said = Said{Word: "resume", Actor: "bob", At: at(3)}
	c = c.Resume().Book(at(3)).Book(at(4))
	c = c.halt("a cluster wants it").Book(at(5))
	c.Paused = ""
	c = c.Book(at(6)) // nobody said so: the word is of before
	c = c.halt("and again").Book(at(7)).finish(CampaignAborted, "", at(8)).Book(at(8))
	want := []HeldFor{
		{Why: "a fire (ann)", Since: at(1), Until: at(3), By: "resume by bob (claimed)"},
		{Why: "stopped: a cluster wants it", Since: at(5), Until: at(6)},
		{Why: "stopped: and again", Since: at(7), Until: at(8)},
	}
	if fmt.Sprint(c.Holds) != fmt.Sprint(want) {
		t.Errorf("holds are\n%v, want\n%v", c.Holds, want)
	}
	var holds []HeldFor
	for i := range 120 {
		holds = booked(holds, map[int]string{0: "why"}[i%2], Said{}, at(i))
	}
	if len(holds) != holdsMost || !holds[len(holds)-1].Since.Equal(at(118)) {
		t.Errorf("%d holds are kept, the last since %v", len(holds), holds[len(holds)-1].Since)
	}
}

func TestHoldsOfAClusterAreBooked(t *testing.T) {
	c := Cluster{Name: "web", Instance: "monthly-1", Phase: PhaseHold, HoldFor: "web-1 failed", Members: []Slot{{Host: "web-1", Outcome: BackedOut}}}.Book(epoch)
	c.Said, c.Phase = Said{Word: "skip", Actor: "ann", At: epoch.Add(time.Minute)}, PhaseRoll
	c = c.Book(epoch.Add(time.Minute))
	if len(c.Holds) != 1 || c.Holds[0].Why != "web-1 failed" || c.Holds[0].By != "skip by ann (claimed)" || !c.Holds[0].Until.Equal(epoch.Add(time.Minute)) {
		t.Errorf("holds are %+v, want the one for web-1, ended by ann", c.Holds)
	}
}
