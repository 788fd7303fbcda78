-- One row per fact: what became of one record of topic events. Partitions follow the log's append time, not event time, so that a
-- block of old history never opens a hundred of them. The windows of the deduplication log are set here, never left to a server's
-- default, because the archive's retries rest on them (20000 blocks: 64 partitions at one block a second fill it in five minutes, a
-- retry lives for two at most). The projection finds a fact by its place in the log: audit, rebuild, and the archive's own reading
-- back; it holds the place and a pointer, not the row again.
CREATE TABLE IF NOT EXISTS ${database}.facts
(
    generation         UInt16 COMMENT 'topology generation, from 1; with partition, offset and seq the identity of the fact' CODEC(ZSTD),
    partition          UInt16 COMMENT 'partition of topic events' CODEC(ZSTD),
    offset             UInt64 COMMENT 'offset in topic events' CODEC(Delta, ZSTD),
    seq                UInt16 COMMENT '0; above 0 for parked events that this record released' CODEC(ZSTD),
    fact_offset        UInt64 COMMENT 'offset in topic facts, same partition; the archive reports its progress in these' CODEC(Delta, ZSTD),
    origin_topic       LowCardinality(String) COMMENT 'topic of the input record that the event was made from',
    origin_partition   Int32 COMMENT 'partition of the input record' CODEC(ZSTD),
    origin_offset      Int64 COMMENT 'offset of the input record' CODEC(Delta, ZSTD),
    organisation       LowCardinality(String) COMMENT 'tenant',
    team               LowCardinality(String) COMMENT 'owner of the customer, its windows and rules',
    source             LowCardinality(String) COMMENT 'format and mapping that the input came by',
    customer           String COMMENT 'own customer, id inside the team; empty for control records' CODEC(ZSTD),
    event_id           String COMMENT 'the producer''s id of the payment or transaction' CODEC(ZSTD),
    side               Enum8('NONE' = 0, 'OUT' = 1, 'IN' = 2) COMMENT 'the customer''s part: OUT paid, IN was paid, NONE no direction given' CODEC(ZSTD),
    kind               Enum8('invalid' = 0, 'payment' = 1, 'transaction' = 2, 'record' = 3, 'stateChange' = 4, 'decision' = 5, 'finding' = 6, 'control' = 7, 'tick' = 8) COMMENT 'what the event is' CODEC(ZSTD),
    outcome            Enum8('invalid' = 0, 'assessed' = 1, 'applied' = 2, 'duplicate' = 3, 'rejected' = 4, 'parked' = 5) COMMENT 'what became of it' CODEC(ZSTD),
    reason             LowCardinality(String) COMMENT 'code where the outcome needs one: redelivery, future, conflict, …',
    detail             String COMMENT 'the reason in words, with the values that decided it' CODEC(ZSTD),
    late               Bool COMMENT 'the event''s time is before the customer''s watermark' CODEC(ZSTD),
    flags              Array(LowCardinality(String)) COMMENT 'what intake did to the input: rounded, …' CODEC(ZSTD),
    time               DateTime64(3, 'UTC') COMMENT 'event time, from the payload' CODEC(Delta, ZSTD),
    appended           DateTime64(3, 'UTC') COMMENT 'log time: the broker''s append time of the event' CODEC(Delta, ZSTD),
    published          DateTime64(3, 'UTC') COMMENT 'append time of the fact; published - appended is the verdict''s latency' CODEC(Delta, ZSTD),
    amount             Nullable(Decimal(18, 6)) COMMENT 'in currency, exact; NULL without an amount' CODEC(ZSTD),
    currency           LowCardinality(String) COMMENT 'ISO 4217 as sent; empty means the base currency',
    base_amount        Nullable(Decimal(18, 6)) COMMENT 'in the base currency, what rules call amount; NULL without a rate' CODEC(ZSTD),
    counterparty       String COMMENT 'the other party''s id, opaque' CODEC(ZSTD),
    channel            LowCardinality(String) COMMENT 'online, branch, pos, …; the producer''s words',
    country            LowCardinality(String) COMMENT 'ISO 3166-1 alpha-2 of the counterparty or place, as sent',
    state              LowCardinality(String) COMMENT 'state of the transaction as sent, upper case',
    type               LowCardinality(String) COMMENT 'TRANSFER, CASH_OUT, …; the producer''s words',
    present            UInt32 COMMENT 'bit set: the producer gave the text, were it empty; bits 0-6 direction, currency, counterparty, channel, country, state, type' CODEC(ZSTD),
    attributes         Map(LowCardinality(String), String) COMMENT 'the producer''s other fields; absent ones are absent' CODEC(ZSTD),
    control_version    UInt32 COMMENT 'kind control: the configuration that begins here; else 0' CODEC(ZSTD),
    control_digest     String COMMENT 'kind control: hex SHA-256 of that configuration; else empty' CODEC(ZSTD),
    config             UInt32 COMMENT 'version of the configuration that judged it' CODEC(ZSTD),
    features           Map(LowCardinality(String), Decimal(38, 6)) COMMENT 'named features, exact; those that were not determinable are absent' CODEC(ZSTD),
    assessment         UUID COMMENT 'guid of the assessment; all zero unless assessed' CODEC(ZSTD),
    stage              Enum8('NONE' = 0, 'OPEN' = 1, 'WAITING_APPROVAL' = 2, 'DONE' = 3) COMMENT 'where the assessment stands at this record' CODEC(ZSTD),
    initial_level      Enum8('NONE' = 0, 'LOW' = 1, 'MEDIUM' = 2, 'HIGH' = 3, 'EXTREME' = 4) COMMENT 'risk level by the rules' CODEC(ZSTD),
    final_level        Enum8('NONE' = 0, 'LOW' = 1, 'MEDIUM' = 2, 'HIGH' = 3, 'EXTREME' = 4) COMMENT 'risk level by the decision' CODEC(ZSTD),
    decision_type      LowCardinality(String) COMMENT 'ACCEPTED or REJECTED; empty while open',
    score              Int32 COMMENT 'sum of the live hits'' scores' CODEC(ZSTD),
    rules              Array(LowCardinality(String)) COMMENT 'every rule that was asked, live and shadow; versions, outcomes and notes go with it' CODEC(ZSTD),
    versions           Array(UInt32) COMMENT 'version of each rule' CODEC(ZSTD),
    outcomes           Array(Enum8('NO_HIT' = 0, 'HIT' = 1, 'ND' = 2, 'ERROR' = 3)) COMMENT 'outcome of each rule; ND is not determinable' CODEC(ZSTD),
    notes              Array(String) COMMENT 'for ND the missing value, for ERROR the error; else empty' CODEC(ZSTD),
    `hits.rule`        Array(LowCardinality(String)) COMMENT 'rules that fired, live and shadow; the other hits columns go with it' CODEC(ZSTD),
    `hits.version`     Array(UInt32) COMMENT 'version of the rule that fired' CODEC(ZSTD),
    `hits.level`       Array(Enum8('NONE' = 0, 'LOW' = 1, 'MEDIUM' = 2, 'HIGH' = 3, 'EXTREME' = 4)) COMMENT 'risk level that the rule gives' CODEC(ZSTD),
    `hits.score`       Array(Int32) COMMENT 'score that the rule gives' CODEC(ZSTD),
    `hits.shadow`      Array(Bool) COMMENT 'judged for comparison only; counts for nothing' CODEC(ZSTD),
    `hits.reason`      Array(String) COMMENT 'why it fired, in words, with parameters and measured values' CODEC(ZSTD),
    `hits.values`      Array(Map(String, String)) COMMENT 'sub-expression and its measured value' CODEC(ZSTD),
    PROJECTION by_place (SELECT generation, partition, offset, seq, fact_offset, _part_offset ORDER BY generation, partition, offset, seq)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(appended)
ORDER BY (team, customer, time, partition, offset, seq)
TTL toDateTime(appended) + toIntervalDay(2557)
SETTINGS non_replicated_deduplication_window = 20000, replicated_deduplication_window = 20000, replicated_deduplication_window_seconds = 604800
COMMENT 'one row per fact: what became of one record of topic events, and everything that decided it'
