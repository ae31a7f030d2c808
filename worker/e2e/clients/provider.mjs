// What an app gives the TypeScript SDKs, v1 or v2, to sign in with: everything
// in memory, and a person in the place of a browser window.

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { signIn } from "./person.mjs";

// A host that does not exist: see Provider.document.
const publishedURL = "https://app.example/client.json";

// Nothing listens here: the code is read off the redirect.
const redirectUrl = "http://127.0.0.1:33418/callback";

/** An OAuthClientProvider of either SDK. */
export class Provider {
  redirectUrl = redirectUrl;
  clientMetadata = {
    client_name: "Test app",
    redirect_uris: [redirectUrl],
    grant_types: ["authorization_code"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  };
  /** What happened: for each sign-in the client id, what was asked, the boxes on the page. */
  signIns = [];

  /**
   * ask narrows the first sign-in to these scopes; tick is what the person
   * leaves ticked; document says to register by a metadata document.
   */
  constructor({ ask, tick, document }) {
    this.ask = ask;
    this.tick = tick;
    if (document) this.clientMetadataUrl = publishedURL;
  }

  /**
   * Publishes the app's metadata document on loopback. The SDKs take nothing but
   * https for clientMetadataUrl, which a test has no certificate for: so the app
   * names another URL, and exchanges it for the document's where an SDK chose it.
   */
  async publish() {
    this.server = createServer((_, response) => {
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ client_id: this.documentURL, ...this.clientMetadata }));
    });
    await new Promise((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    this.documentURL = `http://127.0.0.1:${this.server.address().port}/client.json`;
  }
  close() {
    this.server?.close();
    this.server?.closeAllConnections();
  }
  published(id) {
    return id === publishedURL ? this.documentURL : id;
  }

  state() {
    return (this.expectedState = randomUUID());
  }
  clientInformation() {
    return this.client;
  }
  saveClientInformation(client) {
    this.client = { ...client, client_id: this.published(client.client_id) };
  }
  tokens() {
    return this.saved;
  }
  saveTokens(tokens) {
    this.saved = tokens;
    this.signIns.at(-1).granted = tokens.scope;
  }
  codeVerifier() {
    return this.verifier;
  }
  saveCodeVerifier(verifier) {
    this.verifier = verifier;
  }
  discoveryState() {
    return this.discovered;
  }
  saveDiscoveryState(state) {
    this.discovered = state;
  }

  async redirectToAuthorization(url) {
    url.searchParams.set("client_id", this.published(url.searchParams.get("client_id")));
    // The SDKs ask for what the 401 names, and leave an app no other place to ask for less.
    if (this.ask && this.signIns.length === 0) url.searchParams.set("scope", this.ask);
    const { query, boxes } = await signIn(url, redirectUrl, this.tick);
    if (query.get("state") !== this.expectedState) throw new Error("the state came back changed");
    this.signIns.push({ clientID: url.searchParams.get("client_id"), asked: url.searchParams.get("scope"), boxes });
    this.callback = query;
  }
}
