// Package pipeline is what runs the topology: the only package, with those above it, that knows Kafka, Redis, ClickHouse and the clock.
//
// # The life of one record, file by file
//
// run.go starts the stages of a topology in this process: connect.go reaches the servers and makes every client; prepare.go, which waits
// for brokers that restart meanwhile, has topics.go create or check the topics and apply.go publish the first configuration where there
// is none.
//
// A producer's record is polled by an intakeWorker (intake.go), goes through decode, validate and link, and becomes an Event on topic
// events, or a Rejection; only when that is acknowledged is its offset committed. So intake may deliver twice, never lose.
//
// A lane (lane.go) reaches all that is outside through surroundings.go. It has the event's partition through its session (groupsession.go:
// group member and transactional producer in one; brokerlog.go reads past the group). When the
// group gives it a partition, recover.go rebuilds the windows from the window store's marker and the log behind it; configurations.go
// has the compiled rules that the log's control records name. judge.go decodes a poll, loads the customers that are not in memory,
// chunks.go the sealed chunks that their windows need, and takes the records through dedupe, enrich, evaluate and assess; emit.go
// produces facts, CloudEvents and rejections to the same partition, all in one transaction with the offsets. After the commit flush.go writes what changed to the window store, behind the lane's back.
// fetcherror.go says which errors of reading end a stage. transact.go is one transaction, pace.go when the next one begins; chain.go what
// a commit says of itself; takeover.go ends what a dead owner left open; hold.go keeps a partition back that waits or is halted;
// bootstrap.go builds one from its facts where the log no longer reaches back.
//
// inspect.go shows one customer as the window store holds it and folds the log anew to compare (inspecttext.go).
//
// The archive (package archive) is a group of its own and carries facts to ClickHouse. Package store holds the windows, devserver the
// embedded servers.
//
// # Non-obvious
//
// What cost a bug, or would; each with the test that holds it.
//
//   - A window's start is outside it, its end inside: TestSpan_LeftEndIsOutAndRightEndIsIn, TestData_HandbookSliceEqualsEveryColumn.
//   - Ties stand in log order, also for late events: TestFold_TiesStandInLogOrder.
//   - The flush compares the marker it believes in. Without that a writer whose store lost a suffix moves the marker over customers that
//     are not there, for ever: TestStore_FlushFromAnotherMarkerChangesNothing, TestProduct_WindowStoreThatLosesWhatItConfirmedIsRebuilt.
//   - After any error of End the session is closed and made again. Aborting and going on, as the client allows, judges a batch twice whose
//     commit had been applied: TestProduct_LostEndTxnAnswersDuplicateNothing.
//   - An aborted transaction is undone in memory, newest change first: TestProduct_AbortedTransactionsLeaveNothingBehind,
//     TestSavepoint_AbortedTransactionLeavesNoTrace.
//   - The client calls a commit aborted that was answered UNKNOWN_SERVER_ERROR, applied or not; the group's offsets tell:
//     TestProduct_AppliedCommitThatIsAnsweredUnknownIsNotJudgedTwice.
//   - The producer id is asked for before the first poll. It ends what a killed predecessor left open; asked for with the first batch it
//     would wait for offsets that stay unstable until that transaction times out: TestProduct_KilledBeforeEndTxnCommitsAgainAtOnce.
//   - Transaction markers are consumed for their offsets. A quiet partition is else committed one before the log's end, and out of range
//     once retention has passed: TestRun_AQuietPartitionOutlivesItsRetention.
//   - A fact takes configuration and CloudEvents mode at its own place of the log, not at the end of the batch:
//     TestFact_NamesTheConfigurationAtItsOwnPlaceOfTheLog.
//   - A replay begins again when the store moves under it: what it would load may be folded under a later configuration:
//     TestRecover_FlushThatArrivesLateOverAConfigurationSwitchIsNoHalt.
//   - A replay uses items of its own: it may come while a polled batch waits in the lane's:
//     TestProduct_WindowStoreThatLosesWhatItConfirmedIsRebuilt.
//   - apply's markers reach topic config and topic events one after the other, so a version that the log names may be missing for a
//     moment: TestProduct_ConfigurationsThatCannotBeReadForAMomentAreWaitedFor.
//   - Errors of the group come as fetches of no topic and are mended by the client; they are no halt: TestProduct_CutConnectionsLoseNothing.
//   - An assessment's guid holds its offset: producers use ids again: TestAssessmentGUID_FollowsFromTheLogAlone.
//   - After retention has grown, a late row can be older than an event that has left it: TestSince_GrownRetentionTakesNoWrongEvent.
//   - Adopting a configuration trims under the old one first, or its time would matter: TestAdopt_LateOrEarlyGivesTheSameBytes.
//   - A log may begin with the aborted control records of a killed first apply: TestServers_KilledTenTimesUnderLoadEveryInputHasOneVerdict.
//   - The window store's marker moves over records that change no customer too, and a revoked partition is flushed once more; else a
//     planned move replays: TestServers_EventsGoEndToEnd.
//   - A stranger's key or value on topic events must not reach a fact, and a small batch can inflate beyond every limit:
//     TestServers_GarbageOnEveryInputTopicIsRejectedAndThePartitionMovesOn.
//   - A flush and a load that do not look at the marker are wrong only once the store is read again, by a successor: the tests need restarts
//     with time to join, loss just before a load among them: TestProduct_WindowStoreThatLosesWhatItConfirmedIsRebuilt.
//   - A client that is closed during a rebalance waits for the answer to JoinGroup, and End for the rebalance. Lanes that stop together
//     leave no group, so that answer comes after 10 to 70 s; both are given up: TestProduct_StoppingInTheMiddleOfARebalanceIsQuick.
//   - FirstErrPromise.Err waits for every promise that was made, and a promise waits for as long as no broker answers. A lane that is told
//     to stop gives its records up: TestProduct_StopsThoughNoBrokerAnswers.
//   - What quotes the log's clock stays out of facts.jsonl, or no two replays of a file are equal: TestFile_TwoRunsWriteTheSameFacts.
//   - The JSON library ends with an io.EOF that must be compared, not unwrapped: TestDecode_EveryCaseOfTheGoldenFilesHasItsResult.
//   - ClickHouse writes its deduplication log before the part: a token alone is not enough after a kill, the block is read back:
//     TestArchive_RowsMissingUnderAKnownTokenAreRepaired.
//   - The embedded engine takes over signals; unguarded, a recovered nil dereference hangs: TestGuard_NilDereferenceStaysAPanicBesideTheEngine.
//   - A lane that stood still finds the window store ahead of what the group told it. That is no truncated log: the group is asked first:
//     TestSim_SchedulesThatFailedOnce.
//   - A flush that is broken off leaves customers ahead of the marker, and perhaps beyond a control record that the replay has yet to meet;
//     their LSN may be older than that, for a duplicate takes a customer to a new configuration too: TestSim_SchedulesThatFailedOnce.
//   - A lost partition is rebuilt once: while the flush that replaces it waits, the store goes on saying that it is lost:
//     TestSim_SchedulesThatFailedOnce.
//   - The client tells of one revoke and of no other until a transaction ends: TestSession_AnIdleLaneSeesEveryRevoke.
//   - It takes offset 0 for what a group that never committed goes back to: TestSession_AnAbortBeforeTheFirstCommitGoesBackToTheLogsStart.
//   - After a commit it takes everything polled for committed, whatever the commit said; what was held back comes again by Resume alone:
//     TestSession_APausedPartitionIsCommittedAsFarAsItWasJudged.
//   - Of two cases that are ready a select takes either: one seed would be two runs: TestSim_OneSeedIsOneRun.
//
// And what no test can hold: a batch limit of the client above the brokers' max.message.bytes fails every batch for ever (connect.go sets
// it by topic); a mutex held over a request freezes tests in virtual time (configurations.go passes a token instead); a commit without
// offsets makes the client hold rebalances back for 500 ms.
package pipeline
