package ansible

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// maxRange bounds what one line may stand for: [1:99999999] is a slip of the finger.
const maxRange = 100_000

var (
	errColon = errors.New("ends with a colon: a port would follow it")
	errRange = errors.New("has a range that cannot be read: write [begin:end] or [begin:end:step], both numbers or both letters")
	errLong  = fmt.Errorf("stands for more than %d hosts", maxRange)

	bracketedPort = regexp.MustCompile(`^\[(.+)\]:([0-9]+)$`)
	plainPort     = regexp.MustCompile(`^((?:[^:\[\]]|\[[^\]]*\])*):([0-9]+)$`)
	numbers       = regexp.MustCompile(`(?i)\[[0-9a-f]+:[0-9a-f]+(?::[0-9]+)?\]`)
	hostName      = func() *regexp.Regexp {
		const (
			rng   = `\[(?:[a-zA-Z]:[a-zA-Z]|[0-9]+:[0-9]+)(?::[0-9]+)?\]`
			first = `(?:[\pL\pN_]|` + rng + `)`
			any   = `(?:[\pL\pN_-]|` + rng + `)`
			last  = `(?:[\pL\pN]|` + rng + `)`
			label = `(?:` + last + `|` + first + any + `*` + last + `)`
		)
		return regexp.MustCompile(`^` + label + `(?:\.` + label + `)*$`)
	}()
)

// expand takes the port off a host and lists what its ranges stand for; 0 is no port.
func expand(pattern string) ([]string, int, error) {
	host, port := pattern, ""
	for _, form := range []*regexp.Regexp{bracketedPort, plainPort} {
		if m := form.FindStringSubmatch(host); m != nil {
			host, port = m[1], m[2]
		}
	}
	n, err := strconv.Atoi(port)
	if !isHost(host) || port != "" && err != nil {
		host, n = pattern, 0 // no form that Ansible knows: it is taken as it stands
	}
	if !strings.Contains(host, "[") {
		return []string{host}, n, nil
	}
	hosts, err := ranges(host)
	return hosts, n, err
}

func isHost(s string) bool {
	_, err := netip.ParseAddr(numbers.ReplaceAllString(s, "1"))
	return err == nil || hostName.MatchString(s)
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// ranges lists what the first range stands for, and for each what the next ones do.
func ranges(pattern string) ([]string, error) {
	head, rest, _ := strings.Cut(pattern, "[")
	inner, tail, ok := strings.Cut(rest, "]")
	bounds := strings.Split(inner, ":")
	if !ok || len(bounds) != 2 && len(bounds) != 3 || bounds[1] == "" {
		return nil, errRange
	}
	begin, end, step := bounds[0], bounds[1], 1
	if len(bounds) == 3 {
		var err error
		if step, err = strconv.Atoi(bounds[2]); err != nil || step < 1 {
			return nil, errRange
		}
	}
	if begin == "" {
		begin = "0"
	}
	width := 0
	if begin[0] == '0' && len(begin) > 1 {
		if width = len(begin); width != len(end) {
			return nil, errors.New("has a range whose begin and end are not of the same length, such as [01:10]")
		}
	}
	var seq []string
	if from, to := strings.Index(letters, begin), strings.Index(letters, end); from >= 0 && to >= 0 {
		if from > to {
			return nil, errors.New("has a range that ends before it begins")
		}
		for i := from; i <= to; i += step {
			seq = append(seq, letters[i:i+1])
		}
	} else {
		from, err := strconv.Atoi(begin)
		to, err2 := strconv.Atoi(end)
		if err != nil || err2 != nil {
			return nil, errRange
		}
		if (to-from)/step > maxRange {
			return nil, errLong
		}
		for i := from; i <= to; i += step {
			seq = append(seq, fmt.Sprintf("%0*d", width, i))
		}
	}
	var out []string
	for _, s := range seq {
		name := head + s + tail
		if !strings.Contains(name, "[") {
			out = append(out, name)
			continue
		}
		more, err := ranges(name)
		if err != nil {
			return nil, err
		}
		if out = append(out, more...); len(out) > maxRange {
			return nil, errLong
		}
	}
	return out, nil
}
