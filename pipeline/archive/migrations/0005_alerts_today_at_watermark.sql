-- Today's alerts (0002), with what says that the pattern was found at the customer's watermark and not at the event's own time: the
-- event is the one that completed it, and need not be the newest in it. Columns are only added, at the end.
CREATE OR REPLACE VIEW ${database}.alerts_today AS
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
    assessment,
    h_at_watermark AS at_watermark
FROM ${database}.facts
ARRAY JOIN
    hits.rule AS h_rule,
    hits.level AS h_level,
    hits.score AS h_score,
    hits.shadow AS h_shadow,
    hits.at_watermark AS h_at_watermark,
    hits.reason AS h_reason,
    hits.values AS h_values
WHERE appended >= toDateTime64(toDate(now('UTC')), 3, 'UTC') AND NOT h_shadow
COMMENT 'hits of live rules on events appended today (UTC): rule, measured values and the explanation in words'
