import databaseExecute from "../../providers/actions/database_execute.yaml" with { type: "text" };
import databaseQuery from "../../providers/actions/database_query.yaml" with { type: "text" };
import emailSend from "../../providers/actions/email_send.yaml" with { type: "text" };
import fsDelete from "../../providers/actions/fs_delete.yaml" with { type: "text" };
import fsRead from "../../providers/actions/fs_read.yaml" with { type: "text" };
import fsWrite from "../../providers/actions/fs_write.yaml" with { type: "text" };
import githubCreateIssue from "../../providers/actions/github_create_issue.yaml" with { type: "text" };
import githubRead from "../../providers/actions/github_read.yaml" with { type: "text" };
import httpBearerGet from "../../providers/actions/http_bearer_get.yaml" with { type: "text" };
import httpDelete from "../../providers/actions/http_delete.yaml" with { type: "text" };
import httpFetch from "../../providers/actions/http_fetch.yaml" with { type: "text" };
import httpPost from "../../providers/actions/http_post.yaml" with { type: "text" };
import httpPut from "../../providers/actions/http_put.yaml" with { type: "text" };
import queuePublish from "../../providers/actions/queue_publish.yaml" with { type: "text" };
import s3Get from "../../providers/actions/s3_get.yaml" with { type: "text" };
import s3Put from "../../providers/actions/s3_put.yaml" with { type: "text" };
import slackPostMessage from "../../providers/actions/slack_post_message.yaml" with { type: "text" };
import webRead from "../../providers/actions/web_read.yaml" with { type: "text" };
import type { ManifestSource } from "./manifest.ts";

// Imported as text; the ambient type of a yaml module is that of its parsed value.
const TEXTS: Readonly<Record<string, string>> = {
  database_execute: databaseExecute,
  database_query: databaseQuery,
  email_send: emailSend,
  fs_delete: fsDelete,
  fs_read: fsRead,
  fs_write: fsWrite,
  github_create_issue: githubCreateIssue,
  github_read: githubRead,
  http_bearer_get: httpBearerGet,
  http_delete: httpDelete,
  http_fetch: httpFetch,
  http_post: httpPost,
  http_put: httpPut,
  queue_publish: queuePublish,
  s3_get: s3Get,
  s3_put: s3Put,
  slack_post_message: slackPostMessage,
  web_read: webRead,
};

/** The catalogue that is part of the binary, in the order of its ids. */
export function builtinManifests(): readonly ManifestSource[] {
  return Object.entries(TEXTS).map(([id, text]) => ({
    file: `builtin/${id}.yaml`,
    origin: "builtin",
    text,
    schemasChecked: true,
  }));
}
