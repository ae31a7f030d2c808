// A TypeScript broker, to be measured against: the three tools in relay mode on the official server SDK with jose, written
// the way the two are documented. It refuses the same tokens and makes the same upstream calls; unlike the product it caps
// no answer, holds no deadline over the whole call and writes no audit line.
import { createMcpHandler, McpServer, OAuthError, OAuthErrorCode, requireBearerAuth } from "@modelcontextprotocol/server";
import type { AuthInfo, CallToolResult } from "@modelcontextprotocol/server";
import { createRemoteJWKSet, jwtVerify } from "jose";
import * as z from "zod";

interface Env {
  VOUCH_ISSUER: string;
  VOUCH_AUDIENCE: string;
  AWS_ENDPOINT_URL_STS?: string;
}

const version = "0.1.0";
const upstreamTimeoutMs = 8_000;

// A Refusal is what the client learns of a call that brought nothing.
class Refusal extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

const awsInput = z.strictObject({
  role_arn: z
    .string()
    .min(20)
    .max(2048)
    .regex(/^arn:aws(-[a-z]+)*:iam::\d{12}:role\/[\w+=,.@\/-]+$/)
    .describe("ARN of the IAM role to assume, such as arn:aws:iam::123456789012:role/Developer."),
  duration_seconds: z.number().int().min(900).max(43200).optional().describe("How long the credentials are to live, in seconds."),
  region: z
    .string()
    .regex(/^[a-z]{2,6}(-[a-z]+)+-\d+$/)
    .max(64)
    .optional()
    .describe("AWS region of the STS endpoint, such as eu-central-1."),
});
const awsOutput = z.strictObject({
  Version: z.number().int().describe("Version of the credential_process format: 1."),
  AccessKeyId: z.string().describe("AWS_ACCESS_KEY_ID"),
  SecretAccessKey: z.string().describe("AWS_SECRET_ACCESS_KEY. Secret."),
  SessionToken: z.string().describe("AWS_SESSION_TOKEN. Secret."),
  Expiration: z.string().describe("When the credentials end, RFC 3339 in UTC."),
  AssumedRoleArn: z.string().describe("ARN of the role session."),
});
const githubInput = z.strictObject({
  owner: z.string().max(39).optional().describe("GitHub user or organisation that installed Vouch's GitHub App."),
  repositories: z.array(z.string().max(140)).max(500).optional().describe("Names of the repositories that the token is to reach."),
});
const githubOutput = z.strictObject({
  token: z.string().describe("The installation access token. Secret."),
  expires_at: z.string().describe("When it ends, RFC 3339."),
  expires_in: z.number().int().describe("How many seconds it lives."),
  permissions: z.record(z.string(), z.string()).describe("Level by permission, such as contents: write."),
  repositories: z.array(z.string()).optional().describe("Repositories that it reaches."),
});
const sshInput = z.strictObject({
  public_key: z.string().max(8192).describe("The SSH public key as one line, as in a .pub file. Never a private key."),
});
const sshOutput = z.strictObject({
  certificate: z.string().describe("The certificate as one line; save it as <key>-cert.pub."),
  valid_for_seconds: z.number().int().describe("How many seconds it is valid from now on."),
  principals: z.array(z.string()).describe("Login names that it is valid for."),
  serial: z.string().describe("Serial number, in decimal digits."),
});
const annotations = { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: true };

function newServer(env: Env, token: string): McpServer {
  const server = new McpServer({ name: "typescript-credential-broker", version });
  server.registerTool(
    "get-aws-credentials",
    {
      title: "AWS temporary credentials",
      description: "Get temporary AWS credentials for an IAM role that trusts Vouch.",
      inputSchema: awsInput,
      outputSchema: awsOutput,
      annotations,
    },
    (input) => answer(() => awsCredentials(env, token, input)),
  );
  server.registerTool(
    "get-github-token",
    {
      title: "GitHub installation token",
      description: "Get a GitHub installation access token, valid for about one hour.",
      inputSchema: githubInput,
      outputSchema: githubOutput,
      annotations,
    },
    (input) => answer(() => vouch(env, token, "/v1/credentials/github/token", input)),
  );
  server.registerTool(
    "get-ssh-certificate",
    {
      title: "SSH certificate",
      description: "Have an SSH public key signed by Vouch's certificate authority. Never send a private key.",
      inputSchema: sshInput,
      outputSchema: sshOutput,
      annotations,
    },
    (input) => answer(() => sshCertificate(env, token, input)),
  );
  return server;
}

// answer gives a result as text and as structured content, and a failure in the guide's error form.
async function answer(run: () => Promise<Record<string, unknown>>): Promise<CallToolResult> {
  try {
    const structuredContent = await run();
    return { content: [{ type: "text", text: JSON.stringify(structuredContent, null, 2) }], structuredContent };
  } catch (error) {
    const refusal = error instanceof Refusal ? error : new Refusal("an upstream server could not be reached; try again", 502);
    return { content: [{ type: "text", text: JSON.stringify({ error: refusal.message, status: refusal.status }) }], isError: true };
  }
}

async function awsCredentials(env: Env, token: string, input: z.infer<typeof awsInput>): Promise<Record<string, unknown>> {
  const issued = await vouch(env, token, `/v1/credentials/aws/token?role_arn=${encodeURIComponent(input.role_arn)}`);
  const form = new URLSearchParams({
    Action: "AssumeRoleWithWebIdentity",
    Version: "2011-06-15",
    RoleArn: input.role_arn,
    RoleSessionName: sessionName(String(issued.id_token)),
    WebIdentityToken: String(issued.id_token),
  });
  if (input.duration_seconds !== undefined) form.set("DurationSeconds", String(input.duration_seconds));
  const endpoint = env.AWS_ENDPOINT_URL_STS ?? `https://sts.${input.region ?? "us-east-1"}.amazonaws.com/`;
  const response = await fetch(endpoint, {
    method: "POST",
    headers: { "Content-Type": "application/x-www-form-urlencoded" },
    body: form.toString(),
    redirect: "manual",
    signal: AbortSignal.timeout(upstreamTimeoutMs),
  });
  const xml = await response.text();
  if (!response.ok) throw new Refusal(`AWS STS refused the request (${element(xml, "Code")})`, response.status);
  return {
    Version: 1,
    AccessKeyId: element(xml, "AccessKeyId"),
    SecretAccessKey: element(xml, "SecretAccessKey"),
    SessionToken: element(xml, "SessionToken"),
    Expiration: element(xml, "Expiration"),
    AssumedRoleArn: element(xml, "Arn"),
  };
}

async function sshCertificate(env: Env, token: string, input: z.infer<typeof sshInput>): Promise<Record<string, unknown>> {
  const issued = await vouch(env, token, "/v1/credentials/ssh", input);
  return { ...issued, serial: String(issued.serial) };
}

// vouch calls the credential API with the caller's own token.
async function vouch(env: Env, token: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
  const headers: Record<string, string> = { Accept: "application/json", Authorization: `Bearer ${token}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(env.VOUCH_ISSUER + path, {
    method: body === undefined ? "GET" : "POST",
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    redirect: "manual",
    signal: AbortSignal.timeout(upstreamTimeoutMs),
  });
  if (!response.ok) {
    await response.body?.cancel();
    throw new Refusal(`Vouch refused the request (status ${response.status})`, response.status);
  }
  return (await response.json()) as Record<string, unknown>;
}

// sessionName is the subject of the ID token, as far as STS's alphabet goes.
function sessionName(idToken: string): string {
  const payload = idToken.split(".")[1] ?? "";
  const { sub } = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/"))) as { sub: string };
  return sub.replace(/[^\w+=,.@-]/g, "").slice(0, 64) || "vouch-mcp";
}

const entities: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

function element(xml: string, name: string): string {
  const found = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml);
  if (!found) throw new Refusal("AWS STS gave an answer that could not be used", 502);
  return found[1].replace(/&(amp|lt|gt|quot|apos);/g, (_, entity: string) => entities[entity]);
}

// newApp makes what all requests of an isolate share.
function newApp(env: Env) {
  const resource = new URL(env.VOUCH_AUDIENCE);
  const keys = createRemoteJWKSet(new URL(`${env.VOUCH_ISSUER}/oauth/jwks`));
  const gate = requireBearerAuth({
    expectedResource: resource,
    resourceMetadataUrl: `${resource.origin}/.well-known/oauth-protected-resource${resource.pathname}`,
    verifier: {
      async verifyAccessToken(token: string): Promise<AuthInfo> {
        try {
          const { payload } = await jwtVerify(token, keys, {
            issuer: env.VOUCH_ISSUER,
            audience: env.VOUCH_AUDIENCE,
            algorithms: ["ES256"],
            typ: "at+jwt",
            clockTolerance: 60,
            requiredClaims: ["sub", "client_id", "iat", "exp"],
          });
          const scopes = typeof payload.scope === "string" ? payload.scope.split(" ") : [];
          return { token, clientId: String(payload.client_id), scopes, expiresAt: payload.exp, resource };
        } catch {
          throw new OAuthError(OAuthErrorCode.InvalidToken, "The access token is invalid or expired");
        }
      },
    },
  });
  const handler = createMcpHandler((context) => newServer(env, context.authInfo!.token));
  return async (request: Request): Promise<Response> => {
    const path = new URL(request.url).pathname;
    if (path === "/healthz") return Response.json({ status: "ok", version });
    if (path !== resource.pathname) return new Response(null, { status: 404 });
    const auth = await gate(request);
    return auth instanceof Response ? auth : handler.fetch(request, { authInfo: auth });
  };
}

let app: ReturnType<typeof newApp> | undefined;

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    app ??= newApp(env);
    return app(request);
  },
};
