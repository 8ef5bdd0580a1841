package main

import (
	"fmt"

	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	tlog "go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"
	"go.uber.org/zap"
)

// serverEndpoints are the addresses of the server's four parts. Only the
// frontend is for others; the parts reach each other over the rest.
type serverEndpoints struct {
	frontend, history, matching, worker endpoint
}

func (e *serverEndpoints) byService() map[primitives.ServiceName]endpoint {
	return map[primitives.ServiceName]endpoint{
		primitives.FrontendService: e.frontend,
		primitives.HistoryService:  e.history,
		primitives.MatchingService: e.matching,
		primitives.WorkerService:   e.worker,
	}
}

// newServer builds the Temporal server. Its members are written down instead of
// found by gossip: there is one of each, and gossip would open four more ports
// and slow the stop.
func newServer(database *config.SQL, endpoints serverEndpoints, suggest int, log *zap.Logger) (temporal.Server, error) {
	frontend := endpoints.frontend.String()
	services := map[string]config.Service{}
	hosts := map[primitives.ServiceName]static.Hosts{}
	for name, e := range endpoints.byService() {
		services[string(name)] = config.Service{RPC: config.RPC{GRPCPort: int(e.port), BindOnIP: e.ip.String()}}
		hosts[name] = static.SingleLocalHost(e.String())
	}
	const store = "sqlite"
	off := config.Archival{
		History:    config.HistoryArchival{State: config.ArchivalDisabled},
		Visibility: config.VisibilityArchival{State: config.ArchivalDisabled},
	}
	cfg := &config.Config{
		Persistence: config.Persistence{
			DefaultStore:    store,
			VisibilityStore: store,
			// Fixed for the life of a database file. One: SQLite has one writer.
			NumHistoryShards: 1,
			DataStores:       map[string]config.DataStore{store: {SQL: database}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        "active",
			CurrentClusterName:       "active",
			ClusterInformation: map[string]cluster.ClusterInformation{
				"active": {Enabled: true, InitialFailoverVersion: 1, RPCAddress: frontend},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Services:            services,
		Archival:            off,
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History:    config.HistoryArchivalNamespaceDefaults{State: config.ArchivalDisabled},
			Visibility: config.VisibilityArchivalNamespaceDefaults{State: config.ArchivalDisabled},
		}},
		PublicClient: config.PublicClient{HostPort: frontend},
	}
	settings := dynamicconfig.StaticClient{
		// The server must not call home.
		dynamicconfig.EnableServerVersionCheck.Key(): false,
		// Partitions spread a queue over several machines; here they only make
		// tasks and pollers miss each other.
		dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():  1,
		dynamicconfig.MatchingNumTaskqueueWritePartitions.Key(): 1,
		// A search attribute is usable in the moment it was made. The price, one
		// row read for each use, is for servers with a database far away.
		dynamicconfig.ForceSearchAttributesCacheRefreshOnRead.Key(): true,
	}
	if suggest > 0 {
		settings[dynamicconfig.HistoryCountSuggestContinueAsNew.Key()] = suggest
	}
	server, err := temporal.NewServer(
		temporal.WithConfig(cfg),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(hosts),
		temporal.WithDynamicConfigClient(settings),
		temporal.WithLogger(tlog.NewZapLogger(log)),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper {
			return authorization.NewNoopClaimMapper()
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("temporal server: %w", err)
	}
	return server, nil
}
