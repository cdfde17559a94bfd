-- The second wall between organizations. A request by a key that is bound to one runs as `syncline_tenant`, a role that may
-- read few tables, and of those only the rows of the organization that is set; so a condition that a query forgets shows
-- nothing. See `store::tenant`. The owner of the tables, as whom workers run, is not concerned, and pays nothing.

-- What belongs to the organization in whose name something is done; null when none is set, which equals nothing.
CREATE FUNCTION syncline.tenant() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(current_setting('syncline.organization', true), '') $$;

-- The organization's jobs, wherever they stand.
CREATE VIEW syncline.tenant_jobs WITH (security_barrier) AS
SELECT id
FROM syncline.all_jobs
WHERE organization_id = syncline.tenant();

-- Makes the role, if this user may, and puts the wall up. Answers whether it stands; what stands is left as it is.
CREATE FUNCTION syncline.put_tenant_wall() RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    wall record;
BEGIN
    -- One after the other: two grants at once fail.
    PERFORM pg_advisory_xact_lock(hashtext('syncline tenant wall'));
    IF to_regrole('syncline_tenant') IS NULL THEN
        BEGIN
            CREATE ROLE syncline_tenant NOLOGIN;
        EXCEPTION
            WHEN insufficient_privilege THEN RETURN false;
            -- Another database of this server was faster.
            WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'syncline_tenant' AND (rolsuper OR rolbypassrls)) THEN
        RAISE EXCEPTION 'the role syncline_tenant must be neither SUPERUSER nor BYPASSRLS';
    END IF;
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        BEGIN
            -- Who made it may grant it, to himself as well.
            GRANT syncline_tenant TO CURRENT_USER;
        EXCEPTION WHEN insufficient_privilege THEN
            -- Perhaps somebody else did.
            IF NOT pg_has_role('syncline_tenant', 'MEMBER') THEN
                RETURN false;
            END IF;
        END;
    END IF;

    GRANT USAGE ON SCHEMA syncline TO syncline_tenant;
    GRANT EXECUTE ON FUNCTION syncline.tenant() TO syncline_tenant;
    -- Nobody's in particular.
    GRANT SELECT ON syncline.event_feed, syncline.integrations, syncline.integrations_refresh, syncline.tenant_jobs
        TO syncline_tenant;
    FOR wall IN
        SELECT *
        FROM (
            VALUES
                ('linked_accounts', 'SELECT, INSERT, UPDATE', 'organization_id = syncline.tenant()'),
                ('webhook_endpoints', 'SELECT, INSERT, UPDATE, DELETE', 'organization_id = syncline.tenant()'),
                ('events', 'SELECT', 'organization_id = syncline.tenant()'),
                ('model_syncs', 'SELECT', NULL),
                ('model_records', 'SELECT', NULL),
                ('fetch_windows', 'SELECT', NULL)
        ) AS walls (name, rights, condition)
    LOOP
        EXECUTE format('GRANT %s ON syncline.%I TO syncline_tenant', wall.rights, wall.name);
        CONTINUE WHEN EXISTS (
            SELECT
            FROM pg_policy
            WHERE polrelid = to_regclass('syncline.' || wall.name)
              AND polname = 'tenant'
        );
        EXECUTE format(
            'CREATE POLICY tenant ON syncline.%I TO syncline_tenant USING (%s)',
            wall.name,
            coalesce(
                wall.condition,
                -- The account's organization, which its own policy checks once more.
                format(
                    'EXISTS (SELECT FROM syncline.linked_accounts AS a'
                    ' WHERE a.id = %I.account_id AND a.organization_id = syncline.tenant())',
                    wall.name
                )
            )
        );
        EXECUTE format('ALTER TABLE syncline.%I ENABLE ROW LEVEL SECURITY', wall.name);
    END LOOP;
    RETURN true;
END
$$;

SELECT syncline.put_tenant_wall();
