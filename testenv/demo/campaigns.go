package demo

// The campaign files, as a user would write them. The times are for watching: a soak takes a day or two otherwise, and a member
// settles for ten minutes.
const (
	goodCampaign = `name: patch-night
reason: Debian's security updates and lab-web 1.4
unattended: true # a soak that passed needs no approval, a failure halts
stages:
  - {name: production, clusters: [web, cache]}
policy:
  reboot: if-needed
  checks: {passes: 2, interval: 1s, timeout: 20s}
  settle: 1s
  soak: 4s
  soak_interval: 1s
  soak_passes: 2
`
	badCampaign = `name: bad-night
reason: lab-web 1.2
unattended: true
stages:
  - {name: production, clusters: [web]}
policy:
  reboot: if-needed
  checks: {passes: 2, interval: 1s, timeout: 10s}
  settle: 1s
  soak: 4s
  soak_interval: 1s
  soak_passes: 2
`
	soloCampaign = `name: solo-night
reason: a cluster that has one member only
stages:
  - {name: production, clusters: [solo]}
`
)
