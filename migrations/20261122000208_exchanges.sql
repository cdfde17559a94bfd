-- Public tokens that were exchanged lately. Merge exchanges each once: so its answer is kept, sealed, until the account is
-- linked, and after that which account it was.
CREATE TABLE syncline.exchanges (
    organization_id text NOT NULL,
    public_token_hash bytea NOT NULL, -- keyed
    row_id uuid NOT NULL, -- what the sealed answer is bound to
    answer_sealed bytea, -- Merge's answer, which holds the account token; null once the account is linked
    answer_key_id text,
    account_id uuid, -- the account that was linked; null until then
    created_at timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT exchanges_pkey PRIMARY KEY (organization_id, public_token_hash),
    CONSTRAINT exchanges_answer_or_account CHECK (
        num_nonnulls(answer_sealed, account_id) = 1 AND num_nulls(answer_sealed, answer_key_id) <> 1
    )
);

CREATE INDEX exchanges_account ON syncline.exchanges (account_id) WHERE account_id IS NOT NULL;

CREATE INDEX exchanges_created ON syncline.exchanges (created_at);
