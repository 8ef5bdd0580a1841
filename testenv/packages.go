package testenv

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"strings"
	"time"
)

// securityUpdates is what is published to have the real updates pending.
const securityUpdates = "security"

// publish changes what the hosts' apt finds. A version of lab-web replaces the
// one published before; security updates come on top of it.
func (s *supervisor) publish(what string) error {
	s.op.Lock()
	defer s.op.Unlock()
	if what == securityUpdates {
		if s.Parts.Security == "" {
			return fmt.Errorf("there are no security updates: %s", s.Parts.NoSecurity)
		}
		s.mu.Lock()
		s.security = true
		s.mu.Unlock()
		s.events.add(Event{What: "publish", Detail: what})
		return nil
	}
	var known []string
	for _, v := range labwebVersions {
		if v.version == what {
			s.mu.Lock()
			s.published = what
			s.mu.Unlock()
			s.events.add(Event{What: "publish", Detail: what})
			return nil
		}
		known = append(known, v.version)
	}
	return fmt.Errorf("publish %q: the lab has %s and %s", what, strings.Join(known, " "), securityUpdates)
}

// selection names the selection of each archive that is served now.
func (s *supervisor) selection(archive string) (root, tree string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch archive {
	case "debian":
		return s.Parts.Debian, "all", nil
	case "lab":
		return s.Parts.Lab, s.published, nil
	case "debian-security":
		switch {
		case s.security:
			return s.Parts.Security, "all", nil
		case s.Parts.Security != "":
			return s.Parts.Security, "none", nil
		}
	}
	return "", "", errors.New("no such archive")
}

// servePackages is the web server that the hosts' apt knows: /<archive>/dists/... and /<archive>/pool/...
func (s *supervisor) servePackages(w http.ResponseWriter, r *http.Request) {
	parts := strings.SplitN(strings.TrimPrefix(path.Clean(r.URL.Path), "/"), "/", 2)
	root, tree, err := s.selection(parts[0])
	if err != nil || len(parts) != 2 {
		http.NotFound(w, r)
		return
	}
	file := parts[1]
	if strings.HasPrefix(file, "dists/") {
		file = tree + "/" + file
	}
	// Opened below the archive's folder: a path of the request never leaves it.
	dir, err := os.OpenRoot(root)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer dir.Close()
	f, err := dir.Open(file)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.IsDir() {
		http.NotFound(w, r)
		return
	}
	// Without a time apt never takes what it has for what is there: selections
	// change in both directions, file times do not.
	http.ServeContent(w, r, path.Base(file), time.Time{}, f)
}
