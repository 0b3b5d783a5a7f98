// A real GraphQL service: orders, and refunds that change them. Prints its port, then a line for each change.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.WETINK_NPM, "package.json"));
const { buildSchema } = require("graphql");
const { createHandler } = require("graphql-http/lib/use/http");

const schema = buildSchema(`
  type Order { id: ID!, state: String!, email: String! }
  type Query { order(id: ID!): Order, orders: [Order!]! }
  type Mutation { refund(id: ID!, amount: Int!): Order, remove(id: ID!): Boolean }
`);
const orders = new Map(["1", "2"].map((id) => [id, { id, state: "paid", email: `c${id}@shop.example` }]));
const rootValue = {
  order: ({ id }) => orders.get(id),
  orders: () => [...orders.values()],
  refund: ({ id, amount }) => {
    console.log(JSON.stringify({ refund: id, amount }));
    return Object.assign(orders.get(id), { state: "refunded" });
  },
  remove: ({ id }) => {
    console.log(JSON.stringify({ remove: id }));
    return orders.delete(id);
  },
};
const handler = createHandler({ schema, rootValue });
const server = createServer((request, response) => {
  const known = request.headers.authorization === `Bearer ${process.env.TOKEN}` && request.url === "/graphql";
  if (known) return handler(request, response);
  response.writeHead(401).end();
});
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));
