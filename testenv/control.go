package testenv

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
)

// Status is the state of a lab, as `lab status` prints it.
type Status struct {
	Number     int          `json:"number"`
	Dir        string       `json:"dir"`
	Published  string       `json:"published"`
	Security   bool         `json:"security"`
	WebURL     string       `json:"web_url"`
	ConsulAddr string       `json:"consul_addr"`
	Hosts      []HostStatus `json:"hosts"`
	// Ended names the lab's own programs that should run and do not.
	Ended []string `json:"ended,omitempty"`
}

// HostStatus is one host of a Status.
type HostStatus struct {
	Host
	// PID is the host's PID 1 as seen from the machine; 0 while it is off.
	PID    int    `json:"pid"`
	BootID string `json:"boot_id"`
	SSH    string `json:"ssh"`
	Consul string `json:"consul"`
	// Labweb is the installed version of lab-web.
	Labweb string `json:"lab_web"`
}

// execRequest is a program to run in a host.
type execRequest struct {
	Argv  []string `json:"argv"`
	Stdin []byte   `json:"stdin,omitempty"`
}

type execReply struct {
	Stdout string     `json:"stdout"`
	Exit   *ExitError `json:"exit,omitempty"`
}

// control is what the lab's socket offers. Whoever can open it is root already.
func (s *supervisor) control(end func()) http.Handler {
	mux := http.NewServeMux()
	reply := func(w http.ResponseWriter, v any, err error) {
		if err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v) // the client has left
	}
	host := func(do func(*http.Request, *machine) (any, error)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for _, m := range s.hosts {
				if m.Name == r.PathValue("host") {
					v, err := do(r, m)
					reply(w, v, err)
					return
				}
			}
			http.Error(w, "the lab has no host "+r.PathValue("host"), http.StatusNotFound)
		}
	}
	mux.HandleFunc("GET /about", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]string{"dir": s.dir}, nil)
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		reply(w, s.status(r.Context()), nil)
	})
	mux.HandleFunc("POST /publish", func(w http.ResponseWriter, r *http.Request) {
		reply(w, nil, s.publish(r.FormValue("what")))
	})
	mux.HandleFunc("POST /reset", func(w http.ResponseWriter, r *http.Request) {
		// Half a reset is no lab: it goes on when the client leaves.
		reply(w, nil, s.reset(context.WithoutCancel(r.Context())))
	})
	mux.HandleFunc("POST /ready", func(w http.ResponseWriter, r *http.Request) {
		reply(w, nil, s.ready(r.Context()))
	})
	mux.HandleFunc("POST /down", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, nil, nil)
		end()
	})
	mux.HandleFunc("POST /hosts/{host}/start", host(func(_ *http.Request, m *machine) (any, error) {
		return nil, m.start()
	}))
	mux.HandleFunc("POST /hosts/{host}/power-cut", host(func(_ *http.Request, m *machine) (any, error) {
		return nil, m.powerCut("power-cut")
	}))
	mux.HandleFunc("POST /hosts/{host}/exec", host(func(r *http.Request, m *machine) (any, error) {
		var req execRequest
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			return nil, err
		}
		stdout, err := m.exec(r.Context(), req.Argv, req.Stdin)
		var exit *ExitError
		if errors.As(err, &exit) {
			err = nil
		}
		return execReply{stdout, exit}, err
	}))
	mux.HandleFunc("GET /hosts/{host}/boot-id", host(func(_ *http.Request, m *machine) (any, error) {
		_, id := m.snapshot()
		return id, nil
	}))
	mux.HandleFunc("GET /hosts/{host}/file", host(func(r *http.Request, m *machine) (any, error) {
		return m.readFile(r.FormValue("path"))
	}))
	return mux
}

// readFile reads from the host's disk, whether the host is on or off.
func (m *machine) readFile(path string) ([]byte, error) {
	root, err := os.OpenRoot(m.lab.hostRoot(m.Name))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.Open(strings.TrimPrefix(path, "/"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

func (s *supervisor) status(ctx context.Context) Status {
	s.mu.Lock()
	st := Status{
		Number: s.Number, Dir: s.dir, Published: s.published, Security: s.security,
		WebURL: webURL(s.Number), ConsulAddr: consulAddr(s.Number),
	}
	s.mu.Unlock()
	states, err := s.consulStates(ctx)
	if err != nil {
		states = nil // every host then shows as unknown, which it is
	}
	for _, d := range []*daemon{s.consulServer, s.balancer} {
		if !d.running() {
			st.Ended = append(st.Ended, d.name)
		}
	}
	for _, m := range s.hosts {
		h := HostStatus{Host: m.Host, SSH: "ok", Consul: states[m.Name]}
		h.PID, h.BootID = m.snapshot()
		if h.PID == 0 {
			h.SSH = "off"
		} else if err := s.sshAnswers(ctx, m.Host); err != nil {
			h.SSH = err.Error()
		}
		if raw, err := m.readFile("var/lib/dpkg/status"); err == nil {
			h.Labweb = installedVersions(string(raw))["lab-web"]
		}
		st.Hosts = append(st.Hosts, h)
	}
	return st
}

// installedVersions reads dpkg's database: packages that are fully installed,
// and no others: one that is half configured has no version to rely on.
func installedVersions(status string) map[string]string {
	versions := map[string]string{}
	for _, block := range strings.Split(status, "\n\n") {
		var name, version string
		installed := false
		for _, line := range strings.Split(block, "\n") {
			key, value, _ := strings.Cut(line, ": ")
			switch key {
			case "Package":
				name = value
			case "Version":
				version = value
			case "Status":
				installed = strings.HasSuffix(value, " ok installed")
			}
		}
		if installed {
			versions[name] = version
		}
	}
	return versions
}
