// A Worker that does nothing: what workerd itself costs.
export default {
  async fetch() {
    return new Response("{}", { headers: { "Content-Type": "application/json" } });
  },
};
