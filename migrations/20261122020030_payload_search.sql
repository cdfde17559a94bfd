-- What stands at a path of a payload, for those who look for jobs. Text that Postgres cannot hold has no place to be
-- compared at, and would end the search: a payload with a NUL character in it is left out.
CREATE FUNCTION syncline.payload_at(payload json, path text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN strpos(payload::text, '\u0000') = 0 THEN payload #>> path END
$$;
