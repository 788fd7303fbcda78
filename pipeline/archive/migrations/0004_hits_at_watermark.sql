-- Late events are judged twice; a hit that only the second judgement found says so. Rows from before, and rows of an older program that
-- runs beside this one, read as false: the server fills a missing hits column to the length of the others.
ALTER TABLE ${database}.facts
    ADD COLUMN IF NOT EXISTS `hits.at_watermark` Array(Bool)
        COMMENT 'a late event''s second judgement, at the customer''s watermark, found it; at the event''s own time the rule did not fire' CODEC(ZSTD)
        AFTER `hits.shadow`
