package wiring

import (
	"context"
	"errors"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"

	"github.com/rollpatch/rollpatch/workflows"
)

// Frozen asks whether the freeze runs: it stands for the freeze by running, and its summary says who said so and why.
func (a asker) Frozen(ctx context.Context) (string, error) {
	d, err := a.c.DescribeWorkflowExecution(ctx, workflows.FreezeID, "")
	if gone := new(serviceerror.NotFound); errors.As(err, &gone) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	info := d.GetWorkflowExecutionInfo()
	if info.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return "", nil
	}
	by, err := workflows.FrozenBy(info.GetMemo())
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("the whole estate is frozen since %s by %s (claimed): %s: rollpatch thaw --reason \"...\" ends that", info.GetStartTime().AsTime().UTC().Format("2006-01-02 15:04"), by.Actor, by.Reason), nil
}
