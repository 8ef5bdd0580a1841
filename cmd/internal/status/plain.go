package status

import "strings"

// plain are the words of Go and Temporal for what people are told in their own.
var plain = strings.NewReplacer(
	"activity Heartbeat timeout", "its worker was not heard of for too long",
	"activity StartToClose timeout", "it did not end within its time",
	"activity ScheduleToClose timeout", "it did not end within its time",
	"activity ScheduleToStart timeout", "no worker took it within its time",
	"context canceled", "its worker stopped it",
	"context deadline exceeded", "no answer within its time",
)

// Plain says why an activity failed in words for whoever reads a status.
func Plain(failure string) string { return plain.Replace(failure) }
