package testenv

import "strings"

// inventoryYAML describes the lab in the words of the product's inventory file.
func inventoryYAML(p paths, hosts []Host) string {
	var b strings.Builder
	b.WriteString(`# The lab's hosts, written by the lab.
access:
  user: patch
  identity_file: ` + p.clientKey() + `
  known_hosts: ` + p.knownHosts() + `
consul:
  via: ssh
  address: 127.0.0.1:8500
hosts:
`)
	for _, h := range hosts {
		b.WriteString("  - name: " + h.Name + "\n    address: " + h.Address + "\n    labels: {env: lab}\n")
	}
	b.WriteString(`clusters:
  - name: web
    owner: web team
    contact: web@rollpatch.invalid
    labels: {env: lab}
    members: [web-1, web-2, web-3]
    services: [{name: web, port: 80}]
    depends_on: [cache]
    checks:
      - {name: nginx, unit: nginx.service}
      - {name: port, tcp: "127.0.0.1:80"}
      - {name: page, http: {url: "http://127.0.0.1/", status: 200, body: "lab-web"}}
  - name: cache
    owner: cache team
    contact: cache@rollpatch.invalid
    labels: {env: lab}
    members: [cache-1, cache-2]
    services: [{name: redis, port: 6379}]
    checks:
      - {name: redis, unit: redis-server.service}
      - {name: ping, command: [redis-cli, ping]}
  - name: solo
    owner: web team
    contact: web@rollpatch.invalid
    labels: {env: lab}
    members: [solo-1]
    services: [{name: solo, port: 80}]
    checks:
      - {name: nginx, unit: nginx.service}
      - {name: page, http: {url: "http://127.0.0.1/", status: 200, body: "lab-web"}}
`)
	return b.String()
}
