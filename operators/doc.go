// Package operators is what each step does. Operators are pure: no net, no os, no clock; what they know comes with the batch.
//
// The steps in the order in which an event meets them:
//
//	decode     intake: the input record's bytes become an event, by the source's format
//	validate   intake: ranges and fields, the same for every format
//	link       intake: whose event it is, and where it came from
//	dedupe     monitor: what the log may take, and takes once: future, beyond retention, known ids
//	enrich     monitor: folds the event into its customer's windows and measures what the rules ask
//	evaluate   monitor: rules and named features, each with its outcome
//	assess     monitor: the level, the decision that policy takes, the CloudEvent
//
// State is one partition's customers under one configuration, with the undo that an aborted transaction needs. A batch that reaches
// monitor's operators holds each customer at most once (see State.Runs), so that an operator may work through the whole batch and
// every event still finds its predecessors folded in.
package operators
