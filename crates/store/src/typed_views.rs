//! Views of the records with a column for each field, one for each model: `syncline_hris.employees`.
//!
//! They are made from the catalogue of models, which the caller knows, whenever a program starts that may change the
//! database: a model or field that came with a release appears with it. Each view remembers what it was made of, so
//! that nothing is done when nothing is new, and no reader is held up.
//!
//! A value of another type than the catalogue's shows as null; `model_records.data` has it.

use serde::Serialize;
use sqlx::types::Json;
use sqlx::{Connection, PgConnection};

use crate::Error;
use crate::error::During;

/// One view.
#[derive(Debug, Clone)]
pub struct TypedView {
    /// `hris`: the schema is `syncline_hris`.
    pub category: String,
    /// `employees`.
    pub name: String,
    /// `hris.Employee`.
    pub model_id: String,
    /// Its columns, after those that every view has.
    pub columns: Vec<Column>,
}

/// A field of a model as a column.
#[derive(Debug, Clone, Serialize)]
pub struct Column {
    /// The field's name, and the column's.
    pub name: String,
    /// How it is read.
    pub form: Form,
}

/// How a field is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// `text`.
    Text,
    /// `numeric`.
    Number,
    /// `boolean`.
    Boolean,
    /// `timestamptz`.
    Time,
    /// `jsonb`.
    Json,
}

/// Columns that every view has; fields of these names, or that mean the same, get none of their own.
pub const COMMON: [&str; 8] = [
    "account_id",
    "organization_id",
    "merge_id",
    "id",
    "remote_id",
    "is_deleted",
    "remote_was_deleted",
    "modified_at",
];

/// Makes views, or brings them up to date; may be repeated. Returns the names of those that had to stay as they are,
/// because they lose a column, and something else in the database depends on them.
pub async fn put(conn: &mut PgConnection, views: &[TypedView]) -> Result<Vec<String>, Error> {
    let mut tx = conn.begin().await.during("begin to make views")?;
    // Of several who start at once, one does it.
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('syncline typed views'))")
        .execute(&mut *tx)
        .await
        .during("wait for others who make views")?;
    let mut in_use = Vec::new();
    for view in views {
        let outcome = sqlx::query_scalar!(
            r#"SELECT syncline.put_typed_view($1, $2, $3, $4) AS "outcome!""#,
            view.category,
            view.name,
            view.model_id,
            Json(&view.columns) as Json<&Vec<Column>>
        )
        .fetch_one(&mut *tx)
        .await
        .during("make a view")?;
        if outcome == "in use" {
            in_use.push(format!("syncline_{}.{}", view.category, view.name));
        }
    }
    tx.commit().await.during("make views")?;
    Ok(in_use)
}

#[cfg(test)]
mod tests {
    use test_support::TestDatabase;

    use super::*;

    fn view(columns: &[(&str, Form)]) -> TypedView {
        TypedView {
            category: "hris".to_owned(),
            name: "employees".to_owned(),
            model_id: "hris.Employee".to_owned(),
            columns: columns
                .iter()
                .map(|(name, form)| Column {
                    name: (*name).to_owned(),
                    form: *form,
                })
                .collect(),
        }
    }

    /// The columns of the view, and the row version of its definition.
    async fn shape(conn: &mut PgConnection) -> (Vec<String>, String) {
        let row = sqlx::query!(
            r#"
            SELECT
                array_agg(attname::text ORDER BY attnum) AS "columns!",
                min(c.xmin::text) AS "version!"
            FROM pg_attribute
            JOIN pg_class AS c ON c.oid = attrelid
            WHERE attrelid = to_regclass('syncline_hris.employees')
              AND attnum > 6
            "#
        )
        .fetch_one(conn)
        .await
        .unwrap();
        (row.columns, row.version)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "when queries are checked, the view is not there"
    )]
    #[tokio::test]
    async fn a_view_follows_the_catalogue_and_is_left_alone_when_nothing_is_new() {
        let database = TestDatabase::new().await;
        let mut conn = database.pool().acquire().await.unwrap();
        let first = [view(&[("name", Form::Text)])];
        put(&mut conn, &first).await.unwrap();
        let before = shape(&mut conn).await;
        assert_eq!(before.0, ["name"]);

        put(&mut conn, &first).await.unwrap();
        assert_eq!(shape(&mut conn).await, before, "not touched");

        let grown = [view(&[("name", Form::Text), ("it's \"odd\"", Form::Json)])];
        put(&mut conn, &grown).await.unwrap();
        assert_eq!(shape(&mut conn).await.0, ["name", "it's \"odd\""]);

        let other = [view(&[("name", Form::Number)])];
        assert!(put(&mut conn, &other).await.unwrap().is_empty());
        assert_eq!(shape(&mut conn).await.0, ["name"]);

        sqlx::query("CREATE VIEW public.report AS SELECT name FROM syncline_hris.employees")
            .execute(&mut *conn)
            .await
            .unwrap();
        let in_use = put(&mut conn, &first).await.unwrap();
        assert_eq!(in_use, ["syncline_hris.employees"]);
        assert_eq!(shape(&mut conn).await.0, ["name"]);
    }
}
