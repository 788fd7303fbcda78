-- Today's alerts. Today is the UTC day of the log's append time, so that a replay of old history shows up when it is replayed.
CREATE VIEW IF NOT EXISTS ${database}.alerts_today AS
SELECT
    appended,
    h_rule AS rule,
    h_level AS level,
    team,
    customer,
    event_id,
    time,
    side,
    amount,
    currency,
    counterparty,
    h_reason AS reason,
    h_values AS measured,
    h_score AS score,
    final_level,
    stage,
    assessment
FROM ${database}.facts
ARRAY JOIN
    hits.rule AS h_rule,
    hits.level AS h_level,
    hits.score AS h_score,
    hits.shadow AS h_shadow,
    hits.reason AS h_reason,
    hits.values AS h_values
WHERE appended >= toDateTime64(toDate(now('UTC')), 3, 'UTC') AND NOT h_shadow
COMMENT 'hits of live rules on events appended today (UTC): rule, measured values and the explanation in words'
