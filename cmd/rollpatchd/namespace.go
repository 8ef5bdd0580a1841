package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	namespacepb "go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	tlog "go.temporal.io/sdk/log"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/rollpatch/rollpatch/workflows"
)

// retention is how long a closed campaign can still be read in the server: an
// auditor asks months later, and the audit chain keeps what is older.
const retention = 90 * 24 * time.Hour

// prepareNamespace makes the namespace and the search attributes that are
// missing.
func prepareNamespace(ctx context.Context, address, namespace string, log tlog.Logger) error {
	c, err := client.DialContext(ctx, client.Options{HostPort: address, Namespace: namespace, Logger: log})
	if err != nil {
		return fmt.Errorf("temporal server at %s: %w", address, err)
	}
	defer c.Close()
	if err := ensureNamespace(ctx, c.WorkflowService(), namespace); err != nil {
		return fmt.Errorf("namespace %q: %w", namespace, err)
	}
	if err := ensureSearchAttributes(ctx, c, namespace); err != nil {
		return fmt.Errorf("namespace %q: search attributes: %w", namespace, err)
	}
	return nil
}

func ensureNamespace(ctx context.Context, service workflowservice.WorkflowServiceClient, namespace string) error {
	_, err := service.RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace:                        namespace,
		Description:                      "rollpatch campaigns",
		WorkflowExecutionRetentionPeriod: durationpb.New(retention),
	})
	if _, exists := errors.AsType[*serviceerror.NamespaceAlreadyExists](err); !exists {
		return err
	}
	described, err := service.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	if err != nil {
		return err
	}
	if described.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration() == retention {
		return nil
	}
	_, err = service.UpdateNamespace(ctx, &workflowservice.UpdateNamespaceRequest{
		Namespace: namespace,
		Config:    &namespacepb.NamespaceConfig{WorkflowExecutionRetentionTtl: durationpb.New(retention)},
	})
	return err
}

// ensureSearchAttributes makes what campaigns can be found by. SQLite has room
// for ten of type Keyword in a namespace.
func ensureSearchAttributes(ctx context.Context, c client.Client, namespace string) error {
	present, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return err
	}
	missing := map[string]enumspb.IndexedValueType{}
	for _, name := range workflows.SearchAttributes() {
		switch kind, ok := present.GetCustomAttributes()[name]; {
		case !ok:
			missing[name] = enumspb.INDEXED_VALUE_TYPE_KEYWORD
		case kind != enumspb.INDEXED_VALUE_TYPE_KEYWORD:
			return fmt.Errorf("%s is of type %s, want Keyword", name, kind)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, err = c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
		Namespace:        namespace,
		SearchAttributes: missing,
	})
	return err
}
