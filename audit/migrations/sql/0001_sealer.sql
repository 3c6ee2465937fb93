-- Only the sealer's role moves a chain's head and writes checkpoints (E1).
CREATE POLICY sealer ON audit_chain_head TO envforge_sealer USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON audit_chain_head TO envforge_sealer;
CREATE INDEX audit_chain_head_unsigned ON audit_chain_head (signed_at) WHERE seq > signed_seq;

CREATE POLICY sealer ON audit_checkpoint TO envforge_sealer USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE (vaulted_at) ON audit_checkpoint TO envforge_sealer;
CREATE INDEX audit_checkpoint_unvaulted ON audit_checkpoint (at) WHERE vaulted_at IS NULL;
CREATE TRIGGER audit_checkpoint_not_deleted BEFORE DELETE ON audit_checkpoint FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_checkpoint_signed_once
    BEFORE UPDATE OF id, org_id, seq, hash, at, key_id, signature ON audit_checkpoint FOR EACH ROW EXECUTE FUNCTION audit_refuse();

GRANT SELECT, INSERT ON audit_signing_key TO envforge_sealer;
CREATE TRIGGER audit_signing_key_kept BEFORE UPDATE OR DELETE ON audit_signing_key FOR EACH ROW EXECUTE FUNCTION audit_refuse();
