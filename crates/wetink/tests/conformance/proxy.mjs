// The suite cannot send a pass, so this adds one. Everything else goes through as it is; only the proxy's own name becomes the
// gateway's, so that foreign names are still foreign to the gateway.
import http from "node:http";

const gateway = new URL(process.env.WETINK_URL);
const server = http.createServer((request, response) => {
  const own = `127.0.0.1:${server.address().port}`;
  const local = `localhost:${server.address().port}`;
  const headers = { ...request.headers, authorization: `Bearer ${process.env.WETINK_TOKEN}` };
  for (const name of ["host", "origin"]) {
    if (headers[name]) headers[name] = headers[name].replace(own, gateway.host).replace(local, gateway.host);
  }
  const onward = http.request({ host: "127.0.0.1", port: gateway.port, method: request.method, path: request.url, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  onward.on("error", () => response.destroy());
  response.on("close", () => onward.destroy());
  request.pipe(onward);
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
