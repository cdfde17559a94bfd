-- The third-party products that customers can link, as Merge listed them last.
CREATE TABLE syncline.integrations (
    slug text COLLATE "C" NOT NULL,
    name text NOT NULL,
    categories text[] NOT NULL,
    image text, -- addresses, as received
    square_image text,
    color text,

    CONSTRAINT integrations_pkey PRIMARY KEY (slug)
);

-- How old that list is. One row.
CREATE TABLE syncline.integrations_refresh (
    is_only boolean NOT NULL DEFAULT true,
    refreshed_at timestamptz, -- null: never

    CONSTRAINT integrations_refresh_pkey PRIMARY KEY (is_only),
    CONSTRAINT integrations_refresh_one_row CHECK (is_only)
);

INSERT INTO syncline.integrations_refresh DEFAULT VALUES;
