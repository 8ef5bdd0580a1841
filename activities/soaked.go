package activities

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rollpatch/rollpatch/inventory"
)

// PackageFile is the file of one package that the canary got.
type PackageFile struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
	Size    int64  `json:"size"`
	File    string `json:"file"` // its name in the ledger's folder new
}

// parseFiles reads the rows `file name version sha256 size file` of fetch.
func parseFiles(out []byte) ([]PackageFile, error) {
	var fs []PackageFile
	for _, r := range rows(out) {
		if r[0] != "file" {
			continue
		}
		if len(r) < 6 {
			return nil, fmt.Errorf("fetch: row %q is not file, name, version, sha256, size, file name", strings.Join(r, " "))
		}
		size, err := strconv.ParseInt(r[4], 10, 64)
		if err != nil || size <= 0 || len(r[3]) != 64 || strings.Contains(r[5], "/") {
			return nil, fmt.Errorf("fetch: row %q names no digest, size or file", strings.Join(r, " "))
		}
		fs = append(fs, PackageFile{Name: r[1], Version: r[2], SHA256: r[3], Size: size, File: r[5]})
	}
	return fs, nil
}

// soaked are the manifest's files of what a peer is to get.
func (m Manifest) soaked(want string) (fs []PackageFile) {
	wanted := map[string]bool{}
	for line := range strings.Lines(want) {
		name, version, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		wanted[strings.TrimPrefix(name, "+")+" "+version] = true
	}
	for _, f := range m.Files {
		if wanted[f.Name+" "+f.Version] {
			fs = append(fs, f)
		}
	}
	return fs
}

// fileLines is how files are given to a script.
func fileLines(fs []PackageFile) string {
	var b strings.Builder
	for _, f := range fs {
		fmt.Fprintf(&b, "%s\t%s\t%s\t%s\n", f.Name, f.Version, f.SHA256, f.File)
	}
	return b.String()
}

// absent are the files that pending says the host can have neither from a repository nor from its ledger.
func absent(out []byte, fs []PackageFile) (lacks []PackageFile) {
	for _, r := range rows(out) {
		if r[0] != "absent" || len(r) < 3 {
			continue
		}
		if i := slices.IndexFunc(fs, func(f PackageFile) bool { return f.Name == r[1] && f.Version == r[2] }); i >= 0 {
			lacks = append(lacks, fs[i])
		}
	}
	return lacks
}

// soakedFile comes before the scripts that read and write one file of a ledger.
const soakedFile = `set -eu
folder=${ROLLPATCH_ROOT:-}/var/lib/rollpatch/ledger/$ROLLPATCH_LEDGER/new
file=$folder/$ROLLPATCH_FILE
`

const (
	// hasSoaked prints the digest of what is there.
	hasSoaked = soakedFile + `[ ! -s "$file" ] || sha256sum "$file" | cut -d ' ' -f 1
`
	// readSoaked prints one piece of it.
	readSoaked = soakedFile + `dd if="$file" bs="$ROLLPATCH_PIECE" skip="$ROLLPATCH_AT" count=1 2>/dev/null | base64 -w 0
`
	// writeSoaked writes one piece of it beside its place. A piece may be written twice.
	writeSoaked = soakedFile + `body=$ROLLPATCH_BODY
unset ROLLPATCH_BODY # too long for the environment of a command
umask 077
mkdir -p "$folder"
part=$folder/.$ROLLPATCH_SHA256
[ "$ROLLPATCH_AT" != 0 ] || rm -f "$part"
printf '%s' "$body" | base64 -d | dd of="$part" bs="$ROLLPATCH_PIECE" seek="$ROLLPATCH_AT" conv=notrunc iflag=fullblock 2>/dev/null
`
	// placeSoaked puts it into place if it is that very file, and says so.
	placeSoaked = soakedFile + `part=$folder/.$ROLLPATCH_SHA256
[ -s "$part" ] || exit 0
[ "$(sha256sum "$part" | cut -d ' ' -f 1)" = "$ROLLPATCH_SHA256" ] || { rm -f "$part"; exit 0; }
sync "$part"
mv "$part" "$file"
sync "$folder"
echo placed
`
)

// piece is how much of a file the worker holds at a time.
const piece = 512 << 10

// bring copies files that soaked from members that have them to a peer that cannot have them from its repository any more, through the
// worker. missing names the first one that nobody has, and where it was looked for.
func (a *Activities) bring(ctx context.Context, s scene, m Manifest, lacks []PackageFile) (brought int, missing string, err error) {
	for _, f := range lacks {
		ok, where, err := a.bringOne(ctx, s, m, f)
		if err != nil {
			return brought, "", err
		}
		if !ok {
			return brought, fmt.Sprintf("%s %s, which soaked, is not to be had: the repositories do not have it any more, and %s; it goes on once the repository of %s has it again, or the file with sha256 %s is there as %s",
				f.Name, f.Version, strings.Join(where, "; "), s.host.Name, f.SHA256, "/var/lib/rollpatch/ledger/"+s.who+"/new/"+f.File), nil
		}
		brought++
	}
	return brought, "", nil
}

// bringOne looks for the file on the canary, then on the other members.
func (a *Activities) bringOne(ctx context.Context, s scene, m Manifest, f PackageFile) (ok bool, where []string, err error) {
	for _, h := range s.lenders(m.Host) {
		env := map[string]string{"ROLLPATCH_LEDGER": s.who, "ROLLPATCH_FILE": f.File}
		out, err := a.Runner.Query(ctx, targetOf(h), []byte(hasSoaked), env)
		if ctx.Err() != nil {
			return false, nil, ctx.Err()
		}
		switch has := strings.TrimSpace(string(out)); {
		case err != nil:
			where = append(where, h.Name+" cannot be asked: "+short(err.Error()))
			continue
		case has == "":
			where = append(where, h.Name+" does not have it")
			continue
		case has != f.SHA256:
			where = append(where, h.Name+" has another file under its name")
			continue
		}
		if err := a.copy(ctx, s, targetOf(h), f); err != nil {
			if ctx.Err() != nil {
				return false, nil, ctx.Err()
			}
			where = append(where, "it could not be copied from "+h.Name+": "+short(err.Error()))
			continue
		}
		return true, nil, nil
	}
	return false, where, nil
}

// lenders are the other members of the cluster, the canary first.
func (s scene) lenders(canary string) (hs []inventory.Host) {
	for _, name := range append([]string{canary}, s.part.Cluster.Members...) {
		h, ok := s.part.Host(name)
		if ok && name != s.host.Name && !slices.ContainsFunc(hs, func(o inventory.Host) bool { return o.Name == name }) {
			hs = append(hs, h)
		}
	}
	return hs
}

// copy takes the file over piece by piece, so that the worker never holds more than one.
func (a *Activities) copy(ctx context.Context, s scene, from Target, f PackageFile) error {
	env := func(at int64) map[string]string {
		return map[string]string{
			"ROLLPATCH_LEDGER": s.who, "ROLLPATCH_FILE": f.File, "ROLLPATCH_SHA256": f.SHA256,
			"ROLLPATCH_PIECE": strconv.Itoa(piece), "ROLLPATCH_AT": strconv.FormatInt(at, 10),
		}
	}
	for at := int64(0); at*piece < f.Size; at++ {
		body, err := a.Runner.Query(ctx, from, []byte(readSoaked), env(at))
		if err != nil {
			return err
		}
		text := strings.TrimSpace(string(body))
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil || int64(len(raw)) != min(piece, f.Size-at*piece) {
			return fmt.Errorf("%s gave %d bytes of %s from %d on, not %d", from.Host, len(raw), f.File, at*piece, min(piece, f.Size-at*piece))
		}
		e := env(at)
		e["ROLLPATCH_BODY"] = text
		if _, err := a.Runner.Query(ctx, s.target, []byte(writeSoaked), e); err != nil {
			return err
		}
	}
	out, err := a.Runner.Query(ctx, s.target, []byte(placeSoaked), env(0))
	if err != nil {
		return err
	}
	if strings.TrimSpace(string(out)) != "placed" {
		return fmt.Errorf("what arrived on %s is not the file that soaked", s.host.Name)
	}
	return nil
}

// both are the files of the first list that the second one holds too.
func both(some, others []PackageFile) []PackageFile {
	return slices.DeleteFunc(some, func(f PackageFile) bool { return !slices.Contains(others, f) })
}

// gone says that a fetch ended because a version, or its file, is not to be had.
func gone(out RunOutcome) bool {
	return out.State == RunExited && (out.Exit == exitVersion || out.Exit == exitSource)
}

// fetchAgain brings every file that soaked from the other members, so that another run needs nothing of the repository. Where nothing was
// brought, the outcome stays as it is.
func (a *Activities) fetchAgain(ctx context.Context, s scene, m Manifest, files []PackageFile, r *StepResult) error {
	var lacks []PackageFile
	for _, f := range files {
		out, err := a.Runner.Query(ctx, s.target, []byte(hasSoaked), map[string]string{"ROLLPATCH_LEDGER": s.who, "ROLLPATCH_FILE": f.File})
		if err != nil {
			return err
		}
		if strings.TrimSpace(string(out)) != f.SHA256 {
			lacks = append(lacks, f)
		}
	}
	n, missing, err := a.bring(ctx, s, m, lacks)
	if err != nil {
		return err
	}
	if n > 0 {
		r.again()
		r.Reason = fmt.Sprintf("%d files that soaked were copied from other members, because: %s", n, r.Reason)
	}
	if missing != "" {
		r.Reason += "; " + missing
	}
	return nil
}
