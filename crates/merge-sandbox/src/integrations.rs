//! The third-party systems that can be linked at the sandbox.
//!
//! The names are of real products, because integrators recognise them; nothing of those products is imitated.

use merge_client::catalogue::Category;
use serde_json::{Value, json};

use crate::dice::Dice;

/// A system that an end user can link.
#[derive(Debug)]
pub(crate) struct Integration {
    pub(crate) slug: &'static str,
    pub(crate) name: &'static str,
    pub(crate) color: &'static str,
    pub(crate) categories: &'static [&'static str],
}

const fn integration(
    slug: &'static str,
    name: &'static str,
    color: &'static str,
    categories: &'static [&'static str],
) -> Integration {
    Integration {
        slug,
        name,
        color,
        categories,
    }
}

#[rustfmt::skip]
static INTEGRATIONS: &[Integration] = &[
    integration("bamboohr", "BambooHR", "#73C41D", &["hris", "ats"]),
    integration("personio", "Personio", "#00B4B6", &["hris", "ats"]),
    integration("gusto", "Gusto", "#F45D48", &["hris"]),
    integration("workday", "Workday", "#0875E1", &["hris", "ats"]),
    integration("hibob", "HiBob", "#E42C51", &["hris"]),
    integration("greenhouse", "Greenhouse", "#008561", &["ats"]),
    integration("lever", "Lever", "#5A6A7F", &["ats"]),
    integration("ashby", "Ashby", "#4B40AF", &["ats"]),
    integration("salesforce", "Salesforce", "#00A1E0", &["crm"]),
    integration("hubspot", "HubSpot", "#FF7A59", &["crm", "ticketing"]),
    integration("pipedrive", "Pipedrive", "#1A1A1A", &["crm"]),
    integration("quickbooks-online", "QuickBooks Online", "#2CA01C", &["accounting"]),
    integration("xero", "Xero", "#13B5EA", &["accounting"]),
    integration("netsuite", "NetSuite", "#403F3C", &["accounting"]),
    integration("jira", "Jira", "#2684FF", &["ticketing"]),
    integration("zendesk", "Zendesk", "#03363D", &["ticketing"]),
    integration("linear", "Linear", "#5E6AD2", &["ticketing"]),
    integration("google-drive", "Google Drive", "#34A853", &["filestorage"]),
    integration("dropbox", "Dropbox", "#0061FF", &["filestorage"]),
    integration("sharepoint", "SharePoint", "#038387", &["filestorage"]),
    integration("confluence", "Confluence", "#0052CC", &["knowledgebase"]),
    integration("notion", "Notion", "#111111", &["knowledgebase"]),
    integration("guru", "Guru", "#1F6FEB", &["knowledgebase"]),
    integration("slack", "Slack", "#4A154B", &["chat"]),
    integration("microsoft-teams", "Microsoft Teams", "#6264A7", &["chat"]),
    integration("google-calendar", "Google Calendar", "#4285F4", &["calendar"]),
    integration("outlook-calendar", "Outlook Calendar", "#0F6CBD", &["calendar"]),
    integration("gmail", "Gmail", "#EA4335", &["email"]),
    integration("outlook", "Outlook", "#0F6CBD", &["email"]),
];

impl Integration {
    pub(crate) fn all() -> &'static [Self] {
        INTEGRATIONS
    }

    pub(crate) fn find(slug: &str) -> Option<&'static Self> {
        INTEGRATIONS
            .iter()
            .find(|integration| integration.slug == slug)
    }

    pub(crate) fn of(category: Category) -> impl Iterator<Item = &'static Self> {
        INTEGRATIONS
            .iter()
            .filter(move |integration| integration.offers(category))
    }

    /// The one that falls to this place, among those of the category.
    pub(crate) fn drawn(category: Category, dice: Dice) -> Option<&'static Self> {
        let choices: Vec<_> = Self::of(category).collect();
        (!choices.is_empty()).then(|| *dice.pick(&choices))
    }

    pub(crate) fn offers(&self, category: Category) -> bool {
        self.categories.contains(&category.as_str())
    }

    /// The object of the integration lists and of the token exchange.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "abbreviated_name": self.name,
            "categories": self.categories,
            "image": format!("https://sandbox.invalid/integrations/{}.png", self.slug),
            "square_image": format!("https://sandbox.invalid/integrations/{}-square.png", self.slug),
            "color": self.color,
            "slug": self.slug,
            "api_endpoints_to_documentation_urls": {},
            "webhook_setup_guide_url": null,
            "category_beta_status": {},
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_category_of_the_catalogue_has_integrations() {
        for category in Category::ALL {
            let has_models = !merge_client::catalogue::models(category).is_empty();
            assert!(
                !has_models || Integration::of(category).count() >= 2,
                "{category}"
            );
        }
    }
}
