//! What the service answers, operation by operation.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{Call, Items, State, Table};
use crate::fakes::expression::{self, Attributes};
use crate::fakes::http::{Asked, Reply};
use crate::fakes::plan::{after, before};

/// What the service answers a request it does not take: a code, a message, and the item of a failed condition.
struct Refusal(&'static str, String, Option<Attributes>);

fn refuse<T>(code: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(code, message.into(), None))
}

pub(super) fn answer(state: &mut State, asked: &Asked) -> Reply {
    let operation = match envelope(asked) {
        Ok(operation) => operation.to_owned(),
        Err(words) => {
            state.violations.push(words.clone());
            return Reply::json(400, &json!({ "__type": "UnknownOperationException", "message": words }));
        }
    };
    let mut call = Call { operation, key: None, error: None };
    if let Some(code) = state.refused.get(&call.operation) {
        call.error = Some(code.clone());
        let kind = format!("com.amazonaws.dynamodb.v20120810#{code}");
        let refused = Reply::json(400, &json!({ "__type": kind, "message": "by plan" }));
        state.calls.push(call);
        return refused;
    }
    let fault = state.plan.next();
    let reply = if let Some(refused) = before(fault.as_ref()) {
        call.error = Some("by plan".to_owned());
        refused
    } else {
        let honest = match call.operation.as_str() {
            "CreateTable" => create_table(state, asked),
            "DescribeTable" => describe_table(state, asked),
            "Scan" => scan(state, asked),
            "GetItem" => get_item(state, asked, &mut call),
            "PutItem" => put_item(state, asked, &mut call),
            "UpdateItem" => update_item(state, asked, &mut call),
            _ => delete_item(state, asked, &mut call),
        };
        let reply = match honest {
            Ok(body) => Reply::json(200, &body),
            Err(Refusal(code, message, item)) => {
                if code == "ValidationException" {
                    state.violations.push(message.clone());
                }
                call.error = Some(code.to_owned());
                let kind = format!("com.amazonaws.dynamodb.v20120810#{code}");
                let mut body = json!({ "__type": kind, "message": message });
                if let Some(item) = item {
                    body["Item"] = json!(item);
                }
                Reply::json(400, &body)
            }
        };
        after(fault.as_ref(), reply)
    };
    state.calls.push(call);
    reply
}

/// The operation of a request that is signed and shaped as it must be.
fn envelope(asked: &Asked) -> Result<&str, String> {
    if (asked.method.as_str(), asked.path.as_str()) != ("POST", "/") {
        return Err(format!("{} {}", asked.method, asked.path));
    }
    if asked.header("content-type") != Some("application/x-amz-json-1.0") {
        return Err(format!("content-type {:?}", asked.header("content-type")));
    }
    let is_signed = asked.header("authorization").is_some_and(|value| {
        value.starts_with("AWS4-HMAC-SHA256 Credential=") && value.contains("/dynamodb/aws4_request")
    });
    if !is_signed {
        return Err(format!("authorization {:?}", asked.header("authorization")));
    }
    let known = ["CreateTable", "DescribeTable", "Scan", "GetItem", "PutItem", "UpdateItem", "DeleteItem"];
    let operation = asked.header("x-amz-target").and_then(|target| target.strip_prefix("DynamoDB_20120810."));
    operation.filter(|operation| known.contains(operation)).ok_or_else(|| format!("{:?}", asked.header("x-amz-target")))
}

/// The members of a request. A member that siemline has no reason to send is refused.
fn members<T: DeserializeOwned>(asked: &Asked) -> Result<T, Refusal> {
    serde_json::from_slice(&asked.body).or_else(|error| refuse("ValidationException", error.to_string()))
}

fn named<'a>(state: &'a mut State, name: &str) -> Result<&'a mut Table, Refusal> {
    match state.tables.get_mut(name).filter(|table| table.creating == 0) {
        Some(table) => Ok(table),
        None => refuse("ResourceNotFoundException", "Requested resource not found"),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct CreateTable {
    table_name: String,
    billing_mode: String,
    key_schema: Vec<Map<String, Value>>,
    attribute_definitions: Vec<Map<String, Value>>,
}

fn create_table(state: &mut State, asked: &Asked) -> Result<Value, Refusal> {
    let asked: CreateTable = members(asked)?;
    let [schema] = asked.key_schema.as_slice() else { return refuse("ValidationException", "one key") };
    let key = schema["AttributeName"].as_str().unwrap_or_default().to_owned();
    let defined = json!([{ "AttributeName": key, "AttributeType": "S" }]);
    if json!(asked.attribute_definitions) != defined || schema["KeyType"] != "HASH" {
        return refuse("ValidationException", "some AttributeDefinitions do not match the key schema");
    }
    if asked.billing_mode != "PAY_PER_REQUEST" {
        return refuse("ValidationException", format!("BillingMode {}", asked.billing_mode));
    }
    if state.tables.contains_key(&asked.table_name) {
        return refuse("ResourceInUseException", "Table already exists");
    }
    let table = Table { key, items: Items::new(), stale: Items::new(), creating: 2 };
    state.tables.insert(asked.table_name.clone(), table);
    Ok(json!({ "TableDescription": { "TableName": asked.table_name, "TableStatus": "CREATING" } }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct DescribeTable {
    table_name: String,
}

fn describe_table(state: &mut State, asked: &Asked) -> Result<Value, Refusal> {
    let asked: DescribeTable = members(asked)?;
    let Some(table) = state.tables.get_mut(&asked.table_name) else {
        return refuse("ResourceNotFoundException", format!("Table: {} not found", asked.table_name));
    };
    let status = if table.creating > 0 { "CREATING" } else { "ACTIVE" };
    table.creating = table.creating.saturating_sub(1);
    let schema = json!([{ "AttributeName": table.key, "KeyType": "HASH" }]);
    Ok(json!({ "Table": { "TableName": asked.table_name, "TableStatus": status, "KeySchema": schema } }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Scan {
    table_name: String,
    consistent_read: Option<bool>,
    filter_expression: Option<String>,
    #[serde(default)]
    expression_attribute_values: Attributes,
    exclusive_start_key: Option<Attributes>,
}

fn scan(state: &mut State, asked: &Asked) -> Result<Value, Refusal> {
    let asked: Scan = members(asked)?;
    let (page_items_max, is_behind_writes) = (state.page_items_max, state.is_behind);
    let table = named(state, &asked.table_name)?;
    let behind = match &asked.exclusive_start_key {
        Some(key) => Some(key_of(table, key)?),
        None => None,
    };
    let items = table.read(asked.consistent_read.filter(|_| !is_behind_writes));
    let is_behind = |key: &&String| behind.as_ref().is_none_or(|behind| *key > behind);
    let page: Vec<&String> = items.keys().filter(is_behind).take(page_items_max).collect();
    let mut found = Vec::new();
    let mut used = BTreeSet::new();
    for key in &page {
        // The filter counts after the page is made.
        let matches = match &asked.filter_expression {
            Some(filter) => {
                expression::holds(filter, Some(&items[*key]), &asked.expression_attribute_values, &mut used)
            }
            None => Ok(true),
        };
        if matches.or_else(|words| refuse("ValidationException", words))? {
            found.push(&items[*key]);
        }
    }
    let mut answer = json!({ "Count": found.len(), "ScannedCount": page.len(), "Items": found });
    // A full page has a next one, though it may be empty.
    if page.len() == page_items_max
        && let Some(last) = page.last()
    {
        answer["LastEvaluatedKey"] = json!({ (table.key.clone()): { "S": last } });
    }
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct GetItem {
    table_name: String,
    key: Attributes,
    consistent_read: Option<bool>,
}

fn get_item(state: &mut State, asked: &Asked, call: &mut Call) -> Result<Value, Refusal> {
    let asked: GetItem = members(asked)?;
    let table = named(state, &asked.table_name)?;
    let key = key_of(table, &asked.key)?;
    let item = table.read(asked.consistent_read).get(&key);
    call.key = Some(key.clone());
    Ok(item.map_or_else(|| json!({}), |item| json!({ "Item": item })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct PutItem {
    table_name: String,
    item: Attributes,
    condition_expression: Option<String>,
    #[serde(default)]
    expression_attribute_values: Attributes,
}

fn put_item(state: &mut State, asked: &Asked, call: &mut Call) -> Result<Value, Refusal> {
    let asked: PutItem = members(asked)?;
    if let Some((name, _)) = asked.item.iter().find(|(_, value)| !is_storable(value)) {
        return refuse("ValidationException", format!("{name} is empty, or of no type"));
    }
    let table = named(state, &asked.table_name)?;
    let key: Attributes = asked.item.iter().filter(|(name, _)| **name == table.key).map(pair).collect();
    let key = key_of(table, &key)?;
    call.key = Some(key.clone());
    conditioned(table, &key, asked.condition_expression.as_deref(), None, &asked.expression_attribute_values, None)?;
    table.write(key, Some(asked.item));
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct UpdateItem {
    table_name: String,
    key: Attributes,
    condition_expression: Option<String>,
    update_expression: String,
    #[serde(default)]
    expression_attribute_values: Attributes,
    return_values: Option<String>,
    return_values_on_condition_check_failure: Option<String>,
}

fn update_item(state: &mut State, asked: &Asked, call: &mut Call) -> Result<Value, Refusal> {
    let asked: UpdateItem = members(asked)?;
    let gives_back = state.gives_back && asked.return_values_on_condition_check_failure.as_deref() == Some("ALL_OLD");
    let table = named(state, &asked.table_name)?;
    let key = key_of(table, &asked.key)?;
    call.key = Some(key.clone());
    let values = &asked.expression_attribute_values;
    let update = Some(asked.update_expression.as_str());
    let give_back = gives_back.then_some(());
    conditioned(table, &key, asked.condition_expression.as_deref(), update, values, give_back)?;
    let mut item = table.items.get(&key).cloned().unwrap_or_else(|| asked.key.clone());
    expression::update(&asked.update_expression, &mut item, values)
        .or_else(|words| refuse("ValidationException", words))?;
    if let Some((name, _)) = item.iter().find(|(_, value)| !is_storable(value)) {
        return refuse("ValidationException", format!("{name} is empty, or of no type"));
    }
    table.write(key, Some(item.clone()));
    let all = asked.return_values.as_deref() == Some("ALL_NEW");
    Ok(if all { json!({ "Attributes": item }) } else { json!({}) })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct DeleteItem {
    table_name: String,
    key: Attributes,
    condition_expression: Option<String>,
    #[serde(default)]
    expression_attribute_values: Attributes,
}

fn delete_item(state: &mut State, asked: &Asked, call: &mut Call) -> Result<Value, Refusal> {
    let asked: DeleteItem = members(asked)?;
    let table = named(state, &asked.table_name)?;
    let key = key_of(table, &asked.key)?;
    call.key = Some(key.clone());
    conditioned(table, &key, asked.condition_expression.as_deref(), None, &asked.expression_attribute_values, None)?;
    table.write(key, None);
    Ok(json!({}))
}

fn key_of(table: &Table, key: &Attributes) -> Result<String, Refusal> {
    match key.iter().next() {
        Some((name, value)) if *name == table.key && key.len() == 1 && value["S"].is_string() => {
            Ok(value["S"].as_str().unwrap().to_owned())
        }
        // As the service says it, also for a table of another kind: that is the test's own doing.
        _ => Err(Refusal("ValidationException", "The provided key element does not match the schema".to_owned(), None)),
    }
}

/// Refuses what does not meet its condition, and values that no expression names.
fn conditioned(
    table: &Table,
    key: &str,
    condition: Option<&str>,
    update: Option<&str>,
    values: &Attributes,
    give_back: Option<()>,
) -> Result<(), Refusal> {
    let item = table.items.get(key);
    let mut used: BTreeSet<String> = update.map(expression::values_of).unwrap_or_default();
    let holds = match condition {
        Some(condition) => expression::holds(condition, item, values, &mut used),
        None => Ok(true),
    };
    let holds = holds.or_else(|words| refuse("ValidationException", words))?;
    let given: BTreeSet<String> = values.keys().cloned().collect();
    if used != given {
        return refuse("ValidationException", format!("values given {given:?} and named {used:?}"));
    }
    if holds {
        return Ok(());
    }
    let words = "The conditional request failed".to_owned();
    Err(Refusal("ConditionalCheckFailedException", words, give_back.and_then(|()| item.cloned())))
}

fn is_storable(value: &Value) -> bool {
    match value.as_object().and_then(|value| value.iter().next()) {
        Some((kind, value)) => match kind.as_str() {
            "S" => value.is_string(),
            "N" => value.as_str().is_some_and(|number| number.parse::<f64>().is_ok()),
            "SS" => value.as_array().is_some_and(|texts| !texts.is_empty()),
            "B" => true,
            _ => false,
        },
        None => false,
    }
}

fn pair((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}
