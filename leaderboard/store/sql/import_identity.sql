-- The identity of each published value's job: which import, and the value's coordinates, but not
-- what it is, so that a corrected table replaces it. `coordinates` is registered by the caller;
-- $protocol is the import's protocol.
SELECT
    left(
        sha256(
            concat_ws(
                chr(31),
                $protocol, kind, source, task, adaptation, size,
                coalesce(seed::INTEGER::VARCHAR, ''),
                metric
            )
        ),
        20
    ) AS job
FROM coordinates;
