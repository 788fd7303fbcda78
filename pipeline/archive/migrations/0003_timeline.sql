-- One customer's history, one readable row per event: SELECT * FROM timeline WHERE team = '…' AND customer = '…' ORDER BY time.
CREATE VIEW IF NOT EXISTS ${database}.timeline AS
SELECT
    team,
    customer,
    time,
    kind,
    event_id,
    side,
    amount,
    currency,
    counterparty,
    outcome,
    reason,
    late,
    initial_level AS level,
    arrayMap((r, l, x) -> concat(r, ' (', toString(l), '): ', x), hits.rule, hits.level, hits.reason) AS hits,
    features,
    stage,
    assessment,
    appended,
    partition,
    offset,
    seq
FROM ${database}.facts
COMMENT 'one readable row per event; filter by team and customer, order by time'
