package activities

import "testing"

// Lines as apt and dpkg print them.
func TestBlamed(t *testing.T) {
	for stderr, want := range map[string]string{
		"dpkg: error processing package lab-web (--configure):\n installed lab-web package post-installation script subprocess returned error exit status 1\n": "package lab-web",
		"dpkg: error processing package libc6:i386 (--configure):\n":                                                                                           "package libc6",
		"dpkg: error processing archive /var/cache/apt/archives/nginx-common_1.22.1-9+deb12u2_all.deb (--unpack):\n":                                           "package nginx-common",
		"E: Version '1.3' for 'lab-web' was not found\n":                                                                                                       "package lab-web",
		"E: Unable to locate package lab-wbe\n":                                                                                                                "package lab-wbe",
		"E: Package 'lab-web' has no installation candidate\n":                                                                                                 "package lab-web",
		"first\nopenssl is at 1.1, not at 1.0 as listed\nlast\n":                                                                                               "package openssl",
		"not listed: libnew to 2.0\n":                                                                                                                          "package libnew",
		"dpkg: error processing package a (--configure):\ndpkg: error processing package b (--configure):\n":                                                   "package a",
		"E: Sub-process /usr/bin/dpkg returned an error code (1)\n":                                                                                            "",
		"the package lock did not become free in 600 s\n":                                                                                                      "",
		"": "",
	} {
		if got := blamed([]byte(stderr)); got != want {
			t.Errorf("blamed(%q) = %q, want %q", stderr, got, want)
		}
	}
}
