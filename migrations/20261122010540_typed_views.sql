-- Records with a column for each field: one view for each model, `syncline_hris.employees`. The catalogue says which fields
-- there are, so the program puts the views in place, after the migrations; see `store::typed_views`.

-- A time as it is written in JSON; null if it is none. What is odd in one record must not spoil a whole view.
CREATE FUNCTION syncline.as_time(value text) RETURNS timestamptz
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
SET TimeZone = 'UTC' AS $$
BEGIN
    RETURN value::timestamptz;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;

-- Makes a view, or brings it up to date. Columns are [{"name": …, "form": "text|number|boolean|time|json"}, …].
-- Answers 'unchanged', 'done', or 'in use' when it would have to be dropped, and something depends on it.
CREATE FUNCTION syncline.put_typed_view(category text, name text, model_id text, columns jsonb) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    view_name text := format('%I.%I', 'syncline_' || category, name);
    fields text;
    definition text;
BEGIN
    SELECT string_agg(
        format(
            CASE field ->> 'form'
                WHEN 'text' THEN ', r.data ->> %1$L AS %1$I'
                WHEN 'number' THEN
                    ', CASE jsonb_typeof(r.data -> %1$L) WHEN ''number'' THEN (r.data ->> %1$L)::numeric END AS %1$I'
                WHEN 'boolean' THEN
                    ', CASE jsonb_typeof(r.data -> %1$L) WHEN ''boolean'' THEN (r.data ->> %1$L)::boolean END AS %1$I'
                WHEN 'time' THEN ', syncline.as_time(r.data ->> %1$L) AS %1$I'
                ELSE ', r.data -> %1$L AS %1$I'
            END,
            field ->> 'name'
        ),
        '' ORDER BY position
    )
    INTO fields
    FROM jsonb_array_elements(columns) WITH ORDINALITY AS listed (field, position);

    definition := format(
        'SELECT r.account_id, a.organization_id, r.merge_id, r.remote_id, r.is_deleted, r.modified_at%s'
        ' FROM syncline.model_records AS r'
        ' JOIN syncline.linked_accounts AS a ON a.id = r.account_id'
        ' WHERE r.model_id = %L AND a.status <> ''deleting''',
        coalesce(fields, ''), model_id
    );
    -- The comment tells what the view was made of.
    IF obj_description(to_regclass(view_name), 'pg_class') = model_id || ' ' || md5(definition) THEN
        RETURN 'unchanged';
    END IF;

    EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I', 'syncline_' || category);
    BEGIN
        -- Columns at the end can be added in place.
        EXECUTE format('CREATE OR REPLACE VIEW %s AS %s', view_name, definition);
    EXCEPTION WHEN invalid_table_definition THEN
        BEGIN
            EXECUTE format('DROP VIEW %s', view_name);
            EXECUTE format('CREATE VIEW %s AS %s', view_name, definition);
        EXCEPTION WHEN dependent_objects_still_exist THEN
            RETURN 'in use';
        END;
    END;
    EXECUTE format('COMMENT ON VIEW %s IS %L', view_name, model_id || ' ' || md5(definition));
    RETURN 'done';
END
$$;
