WITH passed_by AS (
    -- Nothing of what came is for them. (The position and the events are of one moment: they are numbered by one
    -- transaction.)
    UPDATE syncline.webhook_endpoints AS endpoint
    SET position = feed.last_position
    FROM syncline.event_feed AS feed
    WHERE disabled_at IS NULL
      AND position < feed.last_position
      AND position >= feed.forgotten_through
      AND NOT EXISTS (
          SELECT
          FROM syncline.events AS event
          WHERE event.last_position > endpoint.position
            AND event.last_position <= feed.last_position
            AND (endpoint.organization_id IS NULL OR event.organization_id = endpoint.organization_id)
            AND (endpoint.event_types IS NULL OR event.type = ANY (endpoint.event_types))
      )
    RETURNING endpoint.id
)
SELECT id AS "id: EndpointId", organization_id
FROM syncline.webhook_endpoints, syncline.event_feed AS feed
WHERE disabled_at IS NULL
  AND position < feed.last_position
  -- It is tried again by the job that failed. If that one is no more, another may once its time is over.
  AND (retry_at IS NULL OR retry_at <= now())
  AND id NOT IN (SELECT id FROM passed_by)
ORDER BY id
