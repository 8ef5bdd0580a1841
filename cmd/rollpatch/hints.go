package main

// The commands that people are told to type.

func watchHint(instance string) string  { return "come back to it with: rollpatch watch " + instance }
func statusHint(instance string) string { return "see it with: rollpatch status " + instance }

const (
	listHint    = "rollpatch list shows what there is"
	daemonHint  = "start one with rollpatchd, or name another with --address"
	nothingHint = "nothing was touched"
)
