"""The local cloud's AWS endpoint: moto behind a layer that checks what moto does not.

moto answers the calls of EC2, SSM, KMS, IAM, S3 and SQS. It believes every signature, evaluates no policy and
forgets everything when it ends. This package puts in front of it, in one process:

- `sigv4`: the signature of every request, in header and presigned form.
- `identities`: whose key it is (root, IAM user, role session), and STS, which is answered here in full.
- `policies`, `asks*`: what that identity may do.
- `parameters`, `instances`: places where moto's answer differs from AWS's in a way the product can feel.
- `state`: durability, also over `kill -9`.

What is enforced: for every caller but root, user, group and role policies (inline and attached customer-managed),
role permissions boundaries and session policies, for each action of the offered services; role trust policies at
AssumeRole and for instance credentials; `iam:PassRole` where a role is handed to an instance. An action is
checked against the resources its request names; `kms:Encrypt` and `kms:Decrypt` are asked for SecureStrings.
A condition operator or key that is not supported refuses the request and is logged.

What is not: KMS key policies, bucket policies and queue policies (read as AWS's default, which leaves the decision
to IAM); the role inside a launch template's instance profile; service quotas; throttling. `kms:Decrypt` is asked for
parameters under `alias/aws/ssm` too, where AWS's own key policy would grant it. A repeated client token gets the
first answer again, with the states of that moment. Services and STS actions other than those named are refused.
"""
