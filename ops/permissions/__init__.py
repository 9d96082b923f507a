"""What the policies in the templates permit, and the proof that every statement can match."""
