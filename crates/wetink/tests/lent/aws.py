"""AWS with a user who may take on a role, a bucket and two secrets. Every request's signature is checked by botocore, every action by the
policies of whoever signed it. A line of JSON for each request."""

import io
import json
import os
import sys
import threading
from urllib.parse import parse_qs

import boto3
from moto import settings
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

REGION = "eu-central-1"
application = DomainDispatcherApplication(create_backend_app)


def told(environ, start):
    """Prints what was asked, then has it answered."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length)
    environ["wsgi.input"] = io.BytesIO(body)
    line = {"path": environ["PATH_INFO"], "method": environ["REQUEST_METHOD"], "authorization": environ.get("HTTP_AUTHORIZATION", "")}
    fields = parse_qs(body.decode("latin-1"))
    for name in ["Action", "RoleSessionName", "Policy", "ExternalId", "DurationSeconds", "WebIdentityToken"]:
        if name in fields:
            line[name] = fields[name][0]

    def answered(status, headers, exc_info=None):
        print(json.dumps({**line, "status": int(status.split()[0])}), flush=True)
        return start(status, headers, exc_info)

    return application(environ, answered)


class Quiet(WSGIRequestHandler):
    def log_request(self, *args):
        pass


server = make_server("127.0.0.1", 0, told, threaded=True, request_handler=Quiet)
threading.Thread(target=server.serve_forever, daemon=True).start()
origin = f"http://127.0.0.1:{server.server_port}"
sys.stdout, out = open(os.devnull, "w"), sys.stdout


def client(service):
    return boto3.client(service, region_name=REGION, endpoint_url=origin, aws_access_key_id="root", aws_secret_access_key="root")


iam, s3, secrets = client("iam"), client("s3"), client("secretsmanager")
iam.create_user(UserName="wetink")
allow = lambda *actions: json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]})
iam.put_user_policy(UserName="wetink", PolicyName="p", PolicyDocument=allow("sts:AssumeRole", "secretsmanager:GetSecretValue"))
key = iam.create_access_key(UserName="wetink")["AccessKey"]
trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}]}
role = iam.create_role(RoleName="shop", AssumeRolePolicyDocument=json.dumps(trust))["Role"]
iam.put_role_policy(RoleName="shop", PolicyName="p", PolicyDocument=allow("s3:GetObject", "s3:PutObject", "s3:ListBucket"))
s3.create_bucket(Bucket="shop", CreateBucketConfiguration={"LocationConstraint": REGION})
secrets.create_secret(Name="shop/token", SecretString=os.environ["TOKEN"])
secrets.create_secret(Name="shop/db", SecretString=json.dumps({"user": "app", "password": os.environ["TOKEN"], "port": 5432}))
# A web identity signs nothing, which this service cannot check and let in at once.
if not os.environ.get("UNSIGNED"):
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0

sys.stdout = out
print(json.dumps({"port": server.server_port, "id": key["AccessKeyId"], "secret": key["SecretAccessKey"], "role": role["Arn"]}), flush=True)
threading.Event().wait()
