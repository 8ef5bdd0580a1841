package wiring

import (
	"context"
	"errors"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
)

// standings are the standing approvals that were handed in.
type standings struct{ c client.Client }

// Standing asks the workflow that keeps them. One that does not run keeps none: it ends when all of them have expired, and what somebody terminated counts no more.
func (s standings) Standing(ctx context.Context, schedule string) ([]approval.Signed, error) {
	r, err := s.c.QueryWorkflowWithOptions(ctx, &client.QueryWorkflowWithOptionsRequest{
		WorkflowID: workflows.StandingID(schedule), QueryType: workflows.QueryState, QueryRejectCondition: enumspb.QUERY_REJECT_CONDITION_NOT_OPEN,
	})
	if gone := new(serviceerror.NotFound); errors.As(err, &gone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if r.QueryRejected != nil {
		return nil, nil
	}
	var st workflows.StandingState
	if err := r.QueryResult.Get(&st); err != nil {
		return nil, err
	}
	return st.Stands(), nil
}
