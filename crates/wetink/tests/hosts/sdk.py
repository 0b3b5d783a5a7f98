"""The official Python SDK: list the tools, propose, wait for the person, print what was released."""

import asyncio
import json
import os

import mcp
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client


async def main():
    http = create_mcp_http_client(headers={"Authorization": "Bearer " + os.environ["WETINK_TOKEN"]})
    transport = streamable_http_client(os.environ["WETINK_URL"], http_client=http)
    async with mcp.Client(transport) as client:
        tools = sorted(tool.name for tool in (await client.list_tools()).tools)
        arguments = {"target": "shop", "body": os.environ["WETINK_SQL"], "purpose": "refund", "wait_s": 0}
        answer = (await client.call_tool("propose", arguments)).structured_content
        while answer["status"] in ("pending", "approved", "running", "held"):
            more = {"proposal_id": answer["proposal_id"], "wait_s": 20}
            result = await client.call_tool("get_proposal", more)
            answer = result.structured_content
            assert json.loads(result.content[0].text) == answer, "the text is the whole answer"
        print(json.dumps({"tools": tools, "answer": answer}))


asyncio.run(main())
