package testenv

import (
	"context"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

//go:embed labweb
var labwebFiles embed.FS

// labwebBase is the version that a fresh host has.
const labwebBase = "1.0"

// labwebVersions are the versions of lab-web and how each differs from a good one.
var labwebVersions = []struct{ version, site, postinst string }{
	{labwebBase, "good.conf", "postinst"},
	{"1.1", "good.conf", "postinst"},
	{"1.2", "sick.conf", "postinst"},        // installs, then every answer is 500
	{"1.3", "good.conf", "postinst-broken"}, // ends half configured, nginx stopped
	{"1.4", "good.conf", "postinst-reboot"}, // wants a reboot, serves the old page until then
	{"1.5", "wrong.conf", "postinst"},       // its health is fine, and its page is another
	{"1.6", "good.conf", "postinst-rename"}, // its page is fine, and its host has another name
}

// labwebSources is everything the packages are made from, for the cache's digest.
func labwebSources() (string, error) {
	var all strings.Builder
	fmt.Fprint(&all, labwebVersions, labwebControl, dataControl)
	entries, err := labwebFiles.ReadDir("labweb")
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		raw, err := labwebFiles.ReadFile("labweb/" + e.Name())
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&all, "%s\n%s\n", e.Name(), raw)
	}
	return all.String(), nil
}

const labwebControl = `Package: lab-web
Version: VERSION
Architecture: all
Maintainer: rollpatch lab <lab@rollpatch.invalid>
Depends: nginx-light | nginx, lab-web-data (= VERSION)
Section: web
Priority: optional
Description: page of the rollpatch lab
 Serves a page that says its version and its host.
`

// The second package is there so that a patch has a dependency to bring along.
const dataControl = `Package: lab-web-data
Version: VERSION
Architecture: all
Maintainer: rollpatch lab <lab@rollpatch.invalid>
Section: web
Priority: optional
Description: version data of lab-web
 Holds what lab-web shows.
`

// buildLabweb writes the packages of every version into a folder.
func buildLabweb(ctx context.Context, into string) error {
	for _, v := range labwebVersions {
		data := map[string]string{
			"DEBIAN/control":            strings.ReplaceAll(dataControl, "VERSION", v.version),
			"usr/share/lab-web/version": v.version + "\n",
		}
		if err := buildDeb(ctx, into, "lab-web-data", v.version, data, nil); err != nil {
			return err
		}
		files := map[string]string{"DEBIAN/control": strings.ReplaceAll(labwebControl, "VERSION", v.version)}
		for path, source := range map[string]string{
			"DEBIAN/prerm":                       "prerm",
			"DEBIAN/postinst":                    v.postinst,
			"usr/share/lab-web/nginx.conf":       v.site,
			"usr/lib/lab-web/render":             "render",
			"lib/systemd/system/lab-web.service": "lab-web.service",
		} {
			raw, err := labwebFiles.ReadFile("labweb/" + source)
			if err != nil {
				return err
			}
			files[path] = string(raw)
		}
		executable := map[string]bool{"DEBIAN/prerm": true, "DEBIAN/postinst": true, "usr/lib/lab-web/render": true}
		if err := buildDeb(ctx, into, "lab-web", v.version, files, executable); err != nil {
			return err
		}
	}
	return nil
}

func buildDeb(ctx context.Context, into, name, version string, files map[string]string, executable map[string]bool) error {
	tree, err := os.MkdirTemp(into, "tree-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tree)
	if err := os.Chmod(tree, 0o755); err != nil {
		return err
	}
	for path, content := range files {
		mode := os.FileMode(0o644)
		if executable[path] {
			mode = 0o755
		}
		if err := writeFile(filepath.Join(tree, path), content, mode); err != nil {
			return err
		}
	}
	deb := filepath.Join(into, fmt.Sprintf("%s_%s_all.deb", name, version))
	_, err = command(ctx, "dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, deb)
	return err
}

// writeFile writes a file whatever the umask, and the folders above it.
func writeFile(path, content string, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

// makeWebLayer installs lab-web on top of the base and keeps only the
// difference: the second layer of every host that serves the page.
func makeWebLayer(ctx context.Context, c *cache, base, debs string) (string, error) {
	name := "web-" + digest(filepath.Base(base), filepath.Base(debs))
	return c.make(name, "the web hosts' layer (lab-web "+labwebBase+")", func(tmp string) error {
		for _, d := range []string{"layer", "work", "root"} {
			if err := os.MkdirAll(filepath.Join(tmp, d), 0o755); err != nil {
				return err
			}
		}
		// The layer's own folder becomes the hosts' root folder, and a umask must not shut it.
		if err := os.Chmod(filepath.Join(tmp, "layer"), 0o755); err != nil {
			return err
		}
		script := `mount -t overlay overlay -o "lowerdir=$1/root,upperdir=$2/layer,workdir=$2/work" "$2/root"
cp "$3"/pool/lab-web_$4_all.deb "$3"/pool/lab-web-data_$4_all.deb "$2/root/root/"
chroot "$2/root" sh -c 'dpkg -i /root/*.deb && rm /root/*.deb && systemctl enable nginx.service && : >/var/log/dpkg.log'
rm -f "$2/root/var/log/alternatives.log"`
		_, err := command(ctx, append(alone, "sh", "-eu", "-c", script, "layer", base, tmp, debs, labwebBase)...)
		return err
	})
}
