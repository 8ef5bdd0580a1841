package workflows

import (
	"errors"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// Register adds the workflows to a worker of the workflow queue. They go on under a newer worker (AutoUpgrade): a soak of days
// must not be tied to the binary it began with.
func Register(r worker.WorkflowRegistry) {
	auto := workflow.VersioningBehaviorAutoUpgrade
	r.RegisterWorkflowWithOptions(Campaign, workflow.RegisterOptions{Name: CampaignType, VersioningBehavior: auto})
	r.RegisterWorkflowWithOptions(Cluster, workflow.RegisterOptions{Name: ClusterType, VersioningBehavior: auto})
	r.RegisterWorkflowWithOptions(Member, workflow.RegisterOptions{Name: MemberType, VersioningBehavior: auto})
	r.RegisterWorkflowWithOptions(Notice, workflow.RegisterOptions{Name: NoticeType, VersioningBehavior: auto})
	r.RegisterWorkflowWithOptions(Sweeper, workflow.RegisterOptions{Name: SweeperType, VersioningBehavior: auto})
	r.RegisterWorkflowWithOptions(Freeze, workflow.RegisterOptions{Name: FreezeType, VersioningBehavior: auto})
	r.RegisterWorkflowWithOptions(Plan, workflow.RegisterOptions{Name: PlanType, VersioningBehavior: auto})
	r.RegisterWorkflowWithOptions(Firing, workflow.RegisterOptions{Name: FiringType, VersioningBehavior: auto})
	r.RegisterWorkflowWithOptions(Standing, workflow.RegisterOptions{Name: StandingType, VersioningBehavior: auto})
	r.RegisterWorkflowWithOptions(Records, workflow.RegisterOptions{Name: RecordsType, VersioningBehavior: auto})
}

// cause is the innermost message of a Temporal error: what a person wants to read.
func cause(err error) string {
	var app *temporal.ApplicationError
	if asApplication(err, &app) {
		return app.Message()
	}
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}

func asApplication(err error, into **temporal.ApplicationError) bool { return errors.As(err, into) }
