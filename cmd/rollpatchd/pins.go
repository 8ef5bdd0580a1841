package main

import (
	_ "github.com/goccy/go-yaml"
	_ "github.com/hashicorp/consul/api"
	_ "github.com/invopop/jsonschema"
	_ "github.com/kevinburke/ssh_config"
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "github.com/skeema/knownhosts"
	_ "github.com/tsenart/vegeta/v12/lib"
	_ "go.temporal.io/sdk/contrib/envconfig"
	_ "go.temporal.io/sdk/testsuite"
	_ "go.temporal.io/sdk/worker"
	_ "golang.org/x/crypto/ssh"
	_ "pgregory.net/rapid"
)
