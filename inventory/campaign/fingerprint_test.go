package campaign_test

import (
	"reflect"
	"testing"

	"github.com/rollpatch/rollpatch/inventory/campaign"
)

func TestFingerprintIsOverriddenItemByItem(t *testing.T) {
	type rules = map[string]campaign.FingerprintRule
	base := campaign.Default(false).Apply(campaign.Override{Fingerprint: rules{"users": {Action: campaign.FingerprintFail}, "listeners": {Allow: []string{"tcp/*:1 *"}}}})
	got := base.Apply(campaign.Override{Fingerprint: rules{"listeners": {Action: campaign.FingerprintWarn}, "mounts": {Allow: []string{"/mnt/*"}}}})
	want := rules{
		"users": {Action: campaign.FingerprintFail}, "listeners": {Action: campaign.FingerprintWarn, Allow: []string{"tcp/*:1 *"}}, "mounts": {Allow: []string{"/mnt/*"}},
	}
	if !reflect.DeepEqual(got.Fingerprint, want) {
		t.Errorf("got %+v, want %+v", got.Fingerprint, want)
	}
	if len(base.Fingerprint) != 2 || base.Fingerprint["listeners"].Action != "" {
		t.Errorf("the policy below was changed: %+v", base.Fingerprint)
	}
	for item, want := range map[string]campaign.FingerprintAction{
		"users": campaign.FingerprintFail, "listeners": campaign.FingerprintWarn, "mounts": campaign.FingerprintFail, "kernel": campaign.FingerprintIgnore, "dns": campaign.FingerprintWarn,
	} {
		if got := got.FingerprintRules()[item].Action; got != want {
			t.Errorf("a difference of %s does %q, want %q", item, got, want)
		}
	}
}
