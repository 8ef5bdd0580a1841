package wiring

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/api/workflowservice/v1"
)

// ServerID is the id that the namespace got when it was made. It is random, and part of the database: another database has another one,
// and a copy of this one has the same.
func (a asker) ServerID(ctx context.Context) (string, error) {
	d, err := a.c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: a.namespace})
	if err == nil && d.GetNamespaceInfo().GetId() == "" {
		err = errors.New("it has no id")
	}
	if err != nil {
		return "", fmt.Errorf("namespace %q of the Temporal server: %w", a.namespace, err)
	}
	return d.GetNamespaceInfo().GetId(), nil
}
