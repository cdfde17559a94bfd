"""Drives a sandbox with Merge's own Python client, so that the sandbox's shapes are what the client takes.

Usage: check.py URL API_KEY CATALOGUE, with the sandbox's address and the path of the catalogue's JSON.
The client parses every answer into its typed models; what does not fit raises. Exits 0 and prints a summary when all is well.
"""

import json
import sys
import urllib.request

from merge.client import Merge

URL, API_KEY, CATALOGUE = sys.argv[1].rstrip("/"), sys.argv[2], sys.argv[3]


def snake(path):
    """`employee-payroll-runs` → `employee_payroll_runs`, the client's attribute."""
    return path.replace("-", "_")


def control(path, body):
    request = urllib.request.Request(
        f"{URL}/_sandbox/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def pages(call, **arguments):
    """All results of a list, page by page. The client's answers are either pages or iterators over pages."""
    found, cursor = [], None
    while True:
        page = call(cursor=cursor, **arguments) if cursor else call(**arguments)
        found += page.results or []
        cursor = page.next
        if not cursor:
            return found


def link(category):
    client = Merge(base_url=f"{URL}/api", api_key=API_KEY)
    area = getattr(client, category)
    link_token = area.link_token.create(
        end_user_origin_id=f"conformance_{category}",
        end_user_organization_name="Harbour & Fjord GmbH",
        end_user_email_address="it-admin@example.com",
        categories=[category],
    ).link_token
    public_token = control(f"link/{link_token}/complete", {})["public_token"]
    exchanged = area.account_token.retrieve(public_token)
    assert exchanged.account_token and exchanged.integration.slug, exchanged
    return Merge(base_url=f"{URL}/api", api_key=API_KEY, account_token=exchanged.account_token)


def check_models(category, area, models):
    total = 0
    for model in models:
        resource = getattr(area, snake(model["path"]))
        arguments = {"page_size": 7}
        if model["deleted"]:
            arguments["include_deleted_data"] = True
        records = pages(resource.list, **arguments)
        assert records, f"{category} {model['path']} is empty"
        for record in records:
            extra = set(record.model_extra or {})
            assert not extra, f"{category} {model['path']} has unknown fields {extra}"
        if model["has_id"]:
            ids = [record.id for record in records]
            assert len(ids) == len(set(ids)), f"{category} {model['path']} repeats records"
            if hasattr(resource, "retrieve"):
                assert resource.retrieve(ids[0]).id == ids[0]
        total += len(records)
    return total


def check(category, models):
    client = link(category)
    area = getattr(client, category)

    details = area.account_details.retrieve()
    assert details.end_user_origin_id == f"conformance_{category}" and details.status == "COMPLETE", details

    statuses = pages(area.sync_status.list, page_size=4)
    assert len(statuses) == len(models), (len(statuses), len(models))
    for status in statuses:
        # The client takes enums and free text alike.
        assert getattr(status.status, "value", status.status) == "DONE" and not status.is_initial_sync, status
        assert not status.model_extra, status.model_extra

    records = check_models(category, area, models)

    resynced = area.force_resync.sync_status_resync_create()
    assert len(resynced) == len(models), resynced

    accounts = pages(area.linked_accounts.list, category=category, page_size=1)
    assert [account.id for account in accounts] == [details.id], accounts

    assert list(area.issues.list().results or []) == []
    area.delete_account.delete()
    assert not pages(area.linked_accounts.list, category=category)
    return records


def main():
    with open(CATALOGUE, encoding="utf-8") as file:
        catalogue = json.load(file)["models"]
    for category in sorted({model["category"] for model in catalogue}):
        models = [model for model in catalogue if model["category"] == category]
        print(f"{category}: {len(models)} models, {check(category, models)} records")


if __name__ == "__main__":
    main()
